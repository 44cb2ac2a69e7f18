// Every action that stands, driven by every SDK.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Kms, OpenApi, PopCore } = require('./client.js');
const { serve, standingActions } = require('./server.js');
const { steps, walk } = require('./walk.js');

test('no action is forgotten', () => {
  assert.deepEqual(new Set(steps().map((step) => step.call)), standingActions());
});

const WALKS = {
  'pop-core by GET over HTTP': (server) => new PopCore(server, 'http', 'GET'),
  'pop-core by GET over HTTPS': (server) => new PopCore(server, 'https', 'GET'),
  'pop-core by POST over HTTP': (server) => new PopCore(server, 'http', 'POST'),
  'pop-core by POST over HTTPS': (server) => new PopCore(server, 'https', 'POST'),
  'openapi-client over HTTP': (server) => new OpenApi(server, 'http'),
  'openapi-client over HTTPS': (server) => new OpenApi(server, 'https'),
  'kms20160120 over HTTP': (server) => new Kms(server),
};

for (const [name, make] of Object.entries(WALKS)) {
  test(name, () =>
    serve(async (server) => {
      assert.deepEqual(await walk(make(server)), standingActions());
    }));
}
