// The SDKs for Node.js, unmodified, each behind the small face that the walk calls.
'use strict';

const fs = require('node:fs');
const RPCClient = require('@alicloud/pop-core');
const kms = require('@alicloud/kms20160120');
const openapi = require('@alicloud/openapi-client');
const rpc = require('@alicloud/rpc-client');
const { RuntimeOptions } = require('@alicloud/tea-util');

const VERSION = '2016-01-20';
// Some defaults are three seconds; that is short for a slow machine that makes an RSA key.
const TIMEOUT = 60000;

/** A refusal that the SDK understood. */
class Refused extends Error {
  constructor(code, status, message, requestId) {
    super(message);
    Object.assign(this, { code, status, requestId });
  }
}

/** What carries an answer of the server's becomes a refusal; all else is passed on as it is. */
async function asRefusal(call, status, code = (error) => error.code) {
  try {
    return await call();
  } catch (error) {
    throw error.data ? new Refused(code(error), status(error), error.message, error.data.RequestId) : error;
  }
}

/** Lists travel as JSON: all SDKs here would write `Name.1`, which is not how this API takes them. */
function mapValues(params, text) {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, text(value)]));
}

/** `@alicloud/pop-core`: HMAC-SHA1; by GET everything is in the query, by POST in a form. */
class PopCore {
  constructor(server, scheme, method, config = {}) {
    this.method = method;
    this.sdk = new RPCClient({
      accessKeyId: server.accessKeyId,
      accessKeySecret: server.accessKeySecret,
      endpoint: server[scheme],
      apiVersion: VERSION,
      opts: { timeout: TIMEOUT, ...(scheme === 'https' && { ca: fs.readFileSync(server.ca) }) },
      ...config,
    });
  }

  call(action, params) {
    // It would write an object as `[object Object]`.
    const texts = mapValues(params, (value) => (typeof value === 'object' ? JSON.stringify(value) : value));
    const { method } = this;
    return asRefusal(() => this.sdk.request(action, texts, { method }), (error) => error.entry.response.statusCode);
  }
}

/**
 * `@alicloud/kms20160120`: HMAC-SHA1, everything in the query of a POST, maps as `Name.key=value`.
 *
 * It has no setting for a CA, so it is driven over HTTP only. Version 1.2.0 has no class for SetDeletionProtection,
 * ExportDataKey, GenerateAndExportDataKey, ReEncrypt, OpenKmsService and DescribeAccountKmsStatus, no member for the newer
 * of the parameters of others, and drops DeletionProtection from the answer of DescribeKey. What it lacks is called by name,
 * through the method that its own methods call.
 */
class Kms {
  constructor(server) {
    const [protocol, endpoint] = server.http.split('://');
    const { accessKeyId, accessKeySecret } = server;
    this.sdk = new kms.default(new rpc.Config({ accessKeyId, accessKeySecret, protocol, endpoint, type: 'access_key' }));
  }

  call(action, params) {
    const method = action[0].toLowerCase() + action.slice(1);
    const Request = kms[`${action}Request`];
    const names = Object.entries(Request?.names() ?? {});
    const known =
      action !== 'DescribeKey' && this.sdk[method] && Object.keys(params).every((name) => names.some(([, sent]) => sent === name));
    const runtime = new RuntimeOptions({ readTimeout: TIMEOUT });
    const query = mapValues(params, (value) => (Array.isArray(value) ? JSON.stringify(value) : value));
    const send = async () => {
      if (!known) return this.sdk.doRequest(action, 'HTTPS', 'POST', VERSION, 'AK', query, null, runtime);
      const members = names.filter(([, sent]) => sent in query).map(([member, sent]) => [member, query[sent]]);
      return (await this.sdk[`${method}Ex`](new Request(Object.fromEntries(members)), runtime)).toMap();
    };
    // The SDK has the status in its message only, and adds a word to the code.
    const status = (error) => Number(/^[^0-9]*code: (\d+), /.exec(error.message)?.[1]);
    return asRefusal(send, status, (error) => error.code.replace(/Error$/, ''));
  }
}

/** `@alicloud/openapi-client`, on which newer SDKs stand: ACS3-HMAC-SHA256, parameters in the query of a POST. */
class OpenApi {
  constructor(server, scheme) {
    const { accessKeyId, accessKeySecret } = server;
    const [protocol, endpoint] = server[scheme].split('://');
    const ca = scheme === 'https' ? fs.readFileSync(server.ca, 'utf8') : undefined;
    this.sdk = new openapi.default(new openapi.Config({ accessKeyId, accessKeySecret, protocol, endpoint, ca }));
  }

  call(action, params) {
    const how = { action, version: VERSION, protocol: 'HTTPS', pathname: '/', method: 'POST', authType: 'AK', style: 'RPC' };
    const query = mapValues(params, (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value)));
    const send = async () => {
      const request = new openapi.OpenApiRequest({ query });
      const sent = new openapi.Params({ ...how, reqBodyType: 'formData', bodyType: 'json' });
      return (await this.sdk.callApi(sent, request, new RuntimeOptions({ readTimeout: TIMEOUT }))).body;
    };
    return asRefusal(send, (error) => error.data.statusCode);
  }
}

module.exports = { Kms, OpenApi, PopCore, Refused };
