// Reads `walk.json`, makes its calls, and compares what comes back. What the walk is, is in the README one folder up; how
// parameters are filled in and answers compared, in scenarios/README.md.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { Refused } = require('./client.js');

const CAPTURE = /^<([a-z][a-z0-9_]*|\*)>$/;
const REPLACE =
  /\$\$|%%|\$(?<name>[a-z][a-z0-9_]*)|%repeat\((?<text>[^,)]+),(?<count>\d+)\)|%wrap\((?<key>[a-z][a-z0-9_]*),(?<bytes>[0-9a-f]+)\)/g;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function steps() {
  const file = path.join(__dirname, '..', 'walk.json');
  return JSON.parse(fs.readFileSync(file, 'utf8')).flatMap((group) => group.steps);
}

/** Takes all steps, and returns the names of the actions that were called. */
async function walk(client) {
  const captured = {};
  const called = new Set();
  for (const step of steps()) {
    const params = replace(step.params, captured);
    const told = `${step.call} ${JSON.stringify(params)}`;
    let answer;
    let refused;
    try {
      answer = await client.call(step.call, params);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refused = error;
    }
    if (step.error) {
      assert(refused, `${told}: ${step.error} expected`);
      compareError(step.error, refused);
    } else {
      assert(!refused, `${told}: ${refused?.status} ${refused?.message}`);
      const { RequestId, ...rest } = answer;
      assert.match(RequestId, UUID);
      capture(step.answer, rest, captured);
      compare(step.call, replace(step.answer, captured), rest, captured);
    }
    called.add(step.call);
  }
  return called;
}

function compareError([code, status, parameter], refused) {
  assert.deepEqual([refused.code, refused.status], [code, status], refused.message);
  assert.match(refused.requestId, UUID);
  if (parameter) assert(refused.message.includes(`"${parameter}"`), refused.message);
}

/** Makes the replacements in all texts. */
function replace(value, captured) {
  if (Array.isArray(value)) return value.map((item) => replace(item, captured));
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, replace(member, captured)]));
  }
  if (typeof value !== 'string') return value;
  return value.replace(REPLACE, (found, ...rest) => {
    const { name, text, count, key, bytes } = rest.at(-1);
    if (name) return captured[name];
    if (text) return text.repeat(Number(count));
    if (key) return wrap(captured[key], Buffer.from(bytes, 'hex'));
    return found[0];
  });
}

/** Encrypts key material as an import wants it. */
function wrap(publicKey, material) {
  const key = crypto.createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
  const padding = { padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  return crypto.publicEncrypt({ key, ...padding }, material).toString('base64');
}

/** Remembers what the expected answer wants remembered. */
function capture(expected, actual, captured) {
  if (typeof expected === 'string' && typeof actual === 'string') {
    const name = CAPTURE.exec(expected)?.[1];
    if (name && name !== '*' && !(name in captured)) captured[name] = actual;
  } else if (expected && actual && typeof expected === 'object' && typeof actual === 'object') {
    for (const name of Object.keys(expected)) capture(expected[name], actual[name], captured);
  }
}

/** Compares an answer with what is expected of it, down to the type of each member. */
function compare(at, expected, actual, captured) {
  assert.equal(typeof actual, typeof expected, `${at}: type`);
  if (Array.isArray(expected)) {
    assert(Array.isArray(actual), `${at}: no list`);
    assert.equal(actual.length, expected.length, `${at}: length`);
    expected.forEach((item, i) => compare(`${at}[${i}]`, item, actual[i], captured));
  } else if (typeof expected === 'object') {
    const { '...': more, ...members } = expected;
    if (!more) assert.deepEqual(Object.keys(actual).sort(), Object.keys(members).sort(), at);
    for (const name of Object.keys(members)) compare(`${at}.${name}`, members[name], actual[name], captured);
  } else {
    const name = typeof expected === 'string' && CAPTURE.exec(expected)?.[1];
    if (name !== '*') assert.equal(actual, name ? captured[name] : expected, at);
  }
}

module.exports = { steps, walk };
