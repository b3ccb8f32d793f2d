// The conformance suite judged: a certified authorization server that is none of ours must pass
// for what it implements, and our sandbox for everything.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { openBrowser, openContext, violationsOf } from './judge/browser.mjs';
import { startAuthorizationServer } from './judge/authorization-server.mjs';
import { binary } from './judge/sandbox.mjs';

const run = promisify(execFile);

// What oidc-provider does otherwise and may: each is a decision of its own, and none of the suite's.
const ITS_OWN = {
  'own-no-scope-beyond-the-registration': 'it does not say that less was given than asked for (RFC 6749 §5.1: scope)',
  'own-request-object-another-typ': 'it does not look at typ of request objects (RFC 8725 §3.11, a should)',
};

describe('the conformance suite and oidc-provider', { timeout: 240_000 }, () => {
  let folder;
  let server;

  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'consentry-conformance-'));
    const at = (name) => path.join(folder, name);
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '10',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE',
      '-keyout', at('server.key'), '-out', at('server.pem'),
    ], { stdio: 'ignore' });
    execFileSync(binary, ['conformance', 'setup', '--out', at('kit'), '--root', at('server.pem')]);
    server = await startAuthorizationServer({
      certificate: readFileSync(at('server.pem')),
      key: readFileSync(at('server.key')),
      ca: readFileSync(at('kit/ca.pem')),
      clients: JSON.parse(readFileSync(at('kit/clients.json'), 'utf8')),
    });
    // What is ours alone: its API, its clock, its filter.
    const text = readFileSync(at('kit/target.toml'), 'utf8')
      .replace(/^api = .*\n/m, '')
      .replace(/^features = .*\n/m, '')
      .replace(/^issuer = .*$/m, `issuer = "${server.issuer}"`)
      .replace(/^resource = .*$/m, `resource = "${server.issuer}/rs/accounts"`)
      .replace(/^\[time\]\n(.+\n)+/m, '')
      .replace('x-sandbox-psu', 'x-psu');
    writeFileSync(at('kit/target.toml'), text);
  });

  after(async () => {
    await server?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  test('raises no false alarm', async () => {
    const wanted = ['conformance', 'run', '--profile', 'fapi2-message-signing', '--config', path.join(folder, 'kit/target.toml'),
      '--longest-wait', '62', '--jobs', '8', '--json', '--out', path.join(folder, 'report')];
    const { stdout } = await run(binary, wanted, { maxBuffer: 1 << 28 }).catch((error) => error);
    const report = JSON.parse(stdout);
    const alarms = report.outcomes.filter(({ verdict, case: id }) => ['failed', 'warned', 'blocked'].includes(verdict) && !(id in ITS_OWN));
    assert.deepEqual(alarms.map(({ case: id, client, says }) => `${id} [${client}]: ${says}`), []);
    assert.ok(report.counts.passed > 200, `only ${report.counts.passed} passed`);
  });

  test('writes a page that a person reads, and that needs nothing else', async () => {
    const browser = await openBrowser();
    try {
      const context = await openContext(browser, { javaScriptEnabled: true, colorScheme: 'dark' });
      const page = await context.newPage();
      const asked = [];
      page.on('request', (request) => asked.push(request.url()));
      await page.goto(pathToFileURL(path.join(folder, 'report/report.html')).href);
      assert.deepEqual(asked, [page.url()]);
      const shown = () => page.locator('.cases tbody tr:visible');
      const all = await shown().count();
      assert.ok(all > 200);
      await page.locator('button[data-verdict=left-out]').click();
      const few = await shown().count();
      assert.ok(few > 0 && few < all);
      assert.equal(await page.locator('.cases tbody tr[data-verdict=passed]:visible').count(), 0);
      await page.locator('button[data-verdict=left-out]').click();
      await page.getByLabel('Find').fill('happy-flow');
      assert.ok((await shown().count()) >= 3);
      await shown().first().locator('summary').first().click();
      await shown().first().locator('details details summary').first().click();
      assert.match(await shown().first().locator('pre').first().innerText(), /request_headers/);
      assert.deepEqual(await violationsOf(page), []);
    } finally {
      await browser.close();
    }
  });
});
