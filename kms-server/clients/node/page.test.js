// The examples of docs/http.md, taken out of it and run as they stand. Those in other languages are run by the tests in Python.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');
const { dependencies } = require('./package.json');
const { serve } = require('./server.js');

const PAGE = fs.readFileSync(path.join(__dirname, '../../../docs/http.md'), 'utf8');
const BLOCKS = [...PAGE.matchAll(/^```js\n(.*?)^```$/gms)].map(([, block]) => block);

test('no example is left out', () => {
  const shown = ['pop-core', 'openapi-client', 'kms20160120'];
  assert.equal(BLOCKS.length, shown.length);
  shown.forEach((name, i) => assert(BLOCKS[i].includes(`require('@alicloud/${name}')`), name));
});

for (const [i, block] of BLOCKS.entries()) {
  test(`example ${i + 1} of the page`, () =>
    serve(async (server) => {
      const env = {
        PATH: process.env.PATH,
        ALIBABA_CLOUD_ACCESS_KEY_ID: server.accessKeyId,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET: server.accessKeySecret,
        KMS_ENDPOINT: new URL(server.https).host,
        KMS_CA: server.ca,
        // Where the page asks for it, and only for the example that it stands above.
        ...(block.includes('@alicloud/kms20160120') && { NODE_EXTRA_CA_CERTS: server.ca }),
      };
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', block], { cwd: __dirname, env });
      assert.equal(stdout, 'a secret\n');
    }));
}

test('what is installed is what is tested', () => {
  const lines = [...PAGE.matchAll(/^ {4}npm install (.+)$/gm)].map(([, line]) => line);
  assert.equal(lines.length, 3);
  for (const installed of lines.join(' ').split(' ')) {
    const at = installed.lastIndexOf('@');
    assert.equal(dependencies[installed.slice(0, at)], installed.slice(at + 1), installed);
  }
});
