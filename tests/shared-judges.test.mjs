// The outside judges that may lie beside the checkout: ten scenarios of a
// certified client, with a PKI and registrations that are not ours.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { startSandbox } from './judge/sandbox.mjs';

const judges = path.resolve(import.meta.dirname, '../../shared/judges');
const skip = existsSync(judges) ? false : 'SKIPPED: there are no judges beside the checkout (../shared/judges)';
if (skip) console.error(skip);

test('passes the ten scenarios of the outside judges', { skip, timeout: 180_000 }, async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'consentry-judges-'));
  let sandbox;
  try {
    const pki = path.join(folder, 'pki');
    cpSync(judges, folder, { recursive: true, filter: (file) => !file.includes('node_modules') });
    symlinkSync(path.join(import.meta.dirname, 'node_modules'), path.join(folder, 'node_modules'));
    execFileSync('./mkpki.sh', ['pki'], { cwd: folder, stdio: 'ignore' });
    const clients = path.join(folder, 'clients.json');
    writeFileSync(clients, execFileSync(process.execPath, ['mkclients.mjs', 'pki/'], { cwd: folder }));
    sandbox = await startSandbox(['--auto-approve', '--clients', clients, '--trust-ca', path.join(pki, 'root.crt')]);
    // The judge trusts one file: its own root and that of the sandbox.
    const root = path.join(pki, 'root.crt');
    writeFileSync(root, Buffer.concat([readFileSync(root), sandbox.pki('root.pem')]));
    const run = spawnSync(process.execPath, ['fintech.mjs', sandbox.issuer, 'all'], {
      cwd: folder,
      env: { ...process.env, PKI: pki, RS: `${sandbox.api}/v1/accounts` },
      encoding: 'utf8',
    });
    assert.equal(run.status, 0, run.stdout + run.stderr);
    assert.match(run.stdout, /10 scenarios, 0 failed checks/);
  } finally {
    await sandbox?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
