// A gateway as an operator runs it: model banks, a configuration, keys, a schema, `consentry serve`.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { binary, freeBase } from './sandbox.mjs';

function environment() {
  const ours = Object.entries(process.env).filter(([name]) => !name.startsWith('CONSENTRY_'));
  return Object.fromEntries(ours);
}

// What the operations port answers; nothing, where nobody does.
async function asked(port, place) {
  const request = http.get({ host: '127.0.0.1', port, path: place, agent: false });
  // Rejects where nobody answers.
  const [response] = await once(request, 'response').catch(() => []);
  if (!response) return undefined;
  let text = '';
  response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
  await once(response, 'close');
  return { status: response.statusCode, text };
}

// `more` is added to the configuration.
export async function startServed(more = '') {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'consentry-served-'));
  const base = await freeBase();
  const at = (name) => path.join(folder, name);
  const children = [];
  const start = (args, name, more = {}) => {
    const log = openSync(at(`${name}.log`), 'w');
    const child = spawn(binary, args, { stdio: ['ignore', log, log], env: { ...environment(), ...more } });
    children.push({ child, exited: once(child, 'exit') });
    return child;
  };
  const stop = async () => {
    for (const { child, exited } of children.reverse()) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await exited;
      }
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const issuer = `https://localhost:${base}`;
    const banks = ['model-banks', '--data-dir', at('banks'), '--port-base', String(base), '--gateway', issuer];
    const child = start([...banks, '--profiles', at('profiles')], 'banks');
    while (!readFileSync(at('banks.log'), 'utf8').includes('are ready')) {
      if (child.exitCode !== null) throw new Error(readFileSync(at('banks.log'), 'utf8'));
      await new Promise(setImmediate);
    }
    // Who issues operators' certificates, and two operators.
    mkdirSync(at('operators'));
    const openssl = (...args) => execFileSync('openssl', args, { cwd: at('operators'), stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Operators', '-days', '300');
    // Of version 3: TLS takes no others.
    writeFileSync(at('operators/v3.txt'), 'basicConstraints = CA:FALSE\nextendedKeyUsage = clientAuth\n');
    for (const name of ['viewer', 'operator']) {
      openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-out', `${name}.pem`, '-days', '2', '-extfile', 'v3.txt');
    }
    const pki = at('banks/pki');
    const configuration = at('consentry.toml');
    writeFileSync(configuration, `
[node]
data_dir = '${at('data')}'
[public]
issuer = '${issuer}'
api = 'https://localhost:${base + 1}'
[listen]
pages = '127.0.0.1:${base}'
api = '127.0.0.1:${base + 1}'
operations = '127.0.0.1:${base + 2}'
admin = '127.0.0.1:${base + 3}'
[tls]
certificate = '${pki}/server.pem'
key = '${pki}/server.key'
client_authorities = ['${pki}/root.pem']
[admin]
authorities = ['${at('operators/ca.pem')}']
viewers = ['viewer']
operators = ['operator']
[bank]
certificate = '${pki}/gateway-qwac.pem'
key = '${pki}/gateway-qwac.key'
seal_certificate = '${pki}/gateway-qseal.pem'
seal_key = '${pki}/gateway-qseal.key'
authorities = ['${pki}/root.pem']
[regions]
held = ['eu', 'uk']
[banks]
folders = ['${at('profiles')}']
embedded = false
[clients]
open_registration = true
[webhooks]
authorities = ['${pki}/root.pem']
loopback = true
[drain]
before = '0s'
${more}
`);
    for (const command of [['keys', 'init'], ['migrate']]) {
      // Not as one that blocks: what it talks to may be in this process.
      await promisify(execFile)(binary, [...command, '--config', configuration], { env: environment() });
    }
    const serve = async (more) => {
      const gateway = start(['serve', '--config', configuration], 'serve', more);
      while ((await asked(base + 2, '/readyz'))?.status !== 200) {
        if (gateway.exitCode !== null) throw new Error(readFileSync(at('serve.log'), 'utf8'));
      }
      return gateway;
    };
    let gateway = await serve();
    return {
      at,
      base,
      banks: child,
      signal: (name) => gateway.kill(name),
      // Ends the gateway and starts it with something else in its configuration, or its environment.
      restart: async (added, more) => {
        gateway.kill('SIGTERM');
        await once(gateway, 'exit');
        writeFileSync(configuration, `${readFileSync(configuration, 'utf8')}\n${added}\n`);
        gateway = await serve(more);
      },
      metrics: async () => (await asked(base + 2, '/metrics'))?.text ?? '',
      issuer,
      api: `https://localhost:${base + 1}`,
      console: `https://localhost:${base + 3}`,
      pki: (name) => readFileSync(path.join(pki, name)),
      operator: (name) => ({
        cert: readFileSync(at(`operators/${name}.pem`)),
        key: readFileSync(at(`operators/${name}.key`)),
      }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
