// Starts and stops `kms serve --dev`.
'use strict';

const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');

function binary() {
  if (!process.env.KMS_BIN) throw new Error('KMS_BIN does not name the kms command');
  return process.env.KMS_BIN;
}

/** The names of the actions that the server has. */
function standingActions() {
  return new Set(execFileSync(binary(), ['actions'], { encoding: 'utf8' }).split('\n').filter(Boolean));
}

/** Runs a server with an empty store for as long as `use` does; it must stop when it is asked to, with status 0. */
async function serve(use) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'kms-'));
  const listen = ['--http', '127.0.0.1:0', '--https', '127.0.0.1:0', '--tls-dir', folder];
  const child = spawn(binary(), ['serve', '--dev', ...listen], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  let result;
  try {
    const found = {};
    for await (const line of readline.createInterface({ input: child.stdout })) {
      if (line === 'Ready.') break;
      const at = line.indexOf(': ');
      found[line.slice(0, at)] = line.slice(at + 2);
    }
    result = await use({
      accessKeyId: found.AccessKeyId,
      accessKeySecret: found.AccessKeySecret,
      ca: found['CA certificate'],
      http: found.HTTP,
      https: found.HTTPS,
    });
  } finally {
    child.stdout.resume();
    child.kill('SIGTERM');
    const [status] = await ended;
    fs.rmSync(folder, { recursive: true, force: true });
    if (status !== 0) throw new Error(`kms serve ended with status ${status}`);
  }
  return result;
}

module.exports = { serve, standingActions };
