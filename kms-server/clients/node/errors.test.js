// What the server refuses before it looks at the action, as pop-core tells it. The refusals of actions are in the walk.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { test } = require('node:test');
const RPCClient = require('@alicloud/pop-core');
const { PopCore, Refused } = require('./client.js');
const { serve } = require('./server.js');

function minutesAway(minutes) {
  return new Date(Date.now() + minutes * 60000).toISOString().replace(/\.\d+Z$/, 'Z');
}

// What the client is made with, what is called with what, and the refusal.
const CASES = [
  ['a wrong secret', { accessKeySecret: 'wrong' }, 'DescribeRegions', {}, 'IncompleteSignature', 400],
  ['an unknown id', { accessKeyId: 'LTAI0000000000000000' }, 'DescribeRegions', {}, 'InvalidAccessKeyId.NotFound', 404],
  ['a time long past', {}, 'DescribeRegions', { Timestamp: minutesAway(-20) }, 'IllegalTimestamp', 400],
  ['a time to come', {}, 'DescribeRegions', { Timestamp: minutesAway(20) }, 'IllegalTimestamp', 400],
  ['no time', {}, 'DescribeRegions', { Timestamp: '' }, 'IllegalTimestamp', 400],
  ['an unknown action', {}, 'Frobnicate', {}, 'UnsupportedOperation', 400],
  ['another version', { apiVersion: '2015-01-01' }, 'DescribeRegions', {}, 'InvalidParameter', 400, 'Version'],
  ['another method of signing', {}, 'DescribeRegions', { SignatureMethod: 'HMAC-MD5' }, 'InvalidParameter', 400, 'SignatureMethod'],
  ['another version of signing', {}, 'DescribeRegions', { SignatureVersion: '2.0' }, 'InvalidParameter', 400, 'SignatureVersion'],
  ['another format', {}, 'DescribeRegions', { Format: 'YAML' }, 'InvalidParameter', 400, 'Format'],
  ['an object that is none', {}, 'Encrypt', { KeyId: 'k', Plaintext: 'p', EncryptionContext: '[object Object]' },
    'InvalidParameter', 400, 'EncryptionContext'],
];

for (const method of ['GET', 'POST']) {
  test(`refusals by ${method}`, () =>
    serve(async (server) => {
      for (const [name, config, action, params, code, status, parameter] of CASES) {
        await assert.rejects(new PopCore(server, 'http', method, config).call(action, params), (error) => {
          assert(error instanceof Refused, `${name}: ${error}`);
          assert.deepEqual([error.code, error.status], [code, status], name);
          if (parameter) assert(error.message.includes(`"${parameter}"`), `${name}: ${error.message}`);
          return true;
        });
      }
    }));

  test(`a nonce is good for one call, by ${method}`, () =>
    serve(async (server) => {
      const client = new PopCore(server, 'http', method);
      const once = { SignatureNonce: crypto.randomUUID() };
      await client.call('DescribeRegions', once);
      await assert.rejects(client.call('ListKeys', once), { code: 'SignatureNonceUsed', status: 400 });
    }));
}

test('the certificate counts', () =>
  serve(async (server) => {
    const { accessKeyId, accessKeySecret, https: endpoint } = server;
    const stranger = new RPCClient({ accessKeyId, accessKeySecret, endpoint, apiVersion: '2016-01-20' });
    await assert.rejects(stranger.request('DescribeRegions'), { code: /CERT|VERIFY/ });
  }));
