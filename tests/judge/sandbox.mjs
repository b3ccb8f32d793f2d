// Starts the real binary with a fresh data folder on free ports, waits until it
// says that it is ready, and stops it by its own process.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
export const binary = process.env.CONSENTRY_BIN ?? path.join(root, 'target/debug/consentry');
const READY = /Consentry sandbox is ready/;
const PORTS = 16;

async function isFree(port) {
  const probe = net.createServer();
  const outcome = Promise.race([once(probe, 'listening').then(() => true), once(probe, 'error').then(() => false)]);
  probe.listen(port, '127.0.0.1');
  const free = await outcome;
  if (free) {
    probe.close();
    await once(probe, 'close');
  }
  return free;
}

export async function freeBase() {
  for (let tries = 0; tries < 200; tries++) {
    // Below the range from which outgoing connections take theirs.
    const base = 12_000 + PORTS * Math.floor(Math.random() * 1_200);
    let free = true;
    for (let offset = 0; free && offset < PORTS; offset++) free = await isFree(base + offset);
    if (free) return base;
  }
  throw new Error('sixteen free ports in a row could not be found');
}

// Starts a sandbox. `args` are further arguments; a function of the port base gives them late.
export async function startSandbox(args = []) {
  for (let tries = 0; ; tries++) {
    const base = await freeBase();
    const folder = mkdtempSync(path.join(os.tmpdir(), 'consentry-judge-'));
    const dataDir = path.join(folder, 'data');
    const given = typeof args === 'function' ? args(base, folder) : args;
    const child = spawn(binary, ['sandbox', '--data-dir', dataDir, '--port-base', String(base), ...given], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, CONSENTRY_DATABASE_URL: undefined },
    });
    let output = '';
    const exited = once(child, 'exit');
    const ready = new Promise((resolve, reject) => {
      child.on('error', reject);
      const read = (chunk) => {
        output += chunk;
        if (READY.test(output)) resolve(true);
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      exited.then(() => resolve(false));
    });
    const up = await ready;
    const stop = async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await exited;
      }
      rmSync(folder, { recursive: true, force: true });
    };
    if (!up) {
      await stop();
      // Somebody took a port between the look and the start.
      if (/port \d+ is taken/.test(output) && tries < 5) continue;
      throw new Error(`the sandbox did not start: ${output}`);
    }
    const pki = (name) => readFileSync(path.join(dataDir, 'pki', name));
    return {
      issuer: `https://localhost:${base}`,
      api: `https://localhost:${base + 1}`,
      // The bank that asks its customers in an app.
      app: `https://localhost:${base + 9}/app`,
      dataDir,
      pki,
      pid: child.pid,
      stop,
      output: () => output,
    };
  }
}
