// The example of docs/http.md, taken out of it and run as it stands. Those in other languages are run by the tests in Python.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');
const { serve } = require('./server.js');

test('the example of the page', () =>
  serve(async (server) => {
    const page = fs.readFileSync(path.join(__dirname, '../../../docs/http.md'), 'utf8');
    const blocks = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(([, block]) => block);
    assert.equal(blocks.length, 1);
    const env = {
      PATH: process.env.PATH,
      ALIBABA_CLOUD_ACCESS_KEY_ID: server.accessKeyId,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: server.accessKeySecret,
      KMS_ENDPOINT: new URL(server.https).host,
      KMS_CA: server.ca,
    };
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', blocks[0]], { cwd: __dirname, env });
    assert.equal(stdout, 'a secret\n');
  }));
