// The operators' console as an operator meets it: Chromium with a certificate, no JavaScript.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { complaintsAbout, openBrowser, openContext, tabTo, violationsOf } from './judge/browser.mjs';
import { connections, register, signingKey } from './judge/fintech.mjs';
import { startServed } from './judge/served.mjs';

describe('the operators\' console', { timeout: 180_000 }, () => {
  let served;
  let browser;
  let client;

  before(async () => {
    served = await startServed();
    browser = await openBrowser();
    const agent = connections(served, 'fintech');
    const key = await signingKey(served);
    const registered = await register(served, agent, key.public);
    assert.equal(registered.status, 201, JSON.stringify(registered.body));
    client = registered.body.client_id;
    await agent.close();
  });

  after(async () => {
    await browser?.close();
    await served?.stop();
  });

  const open = (name, more = {}) => {
    const identity = name ? [{ origin: served.console, ...served.operator(name) }] : [];
    return openContext(browser, { clientCertificates: identity, ...more });
  };

  test('an operator suspends a client and lets it in again, with the keyboard alone', async () => {
    const context = await open('operator');
    const page = await context.newPage();
    await page.goto(`${served.console}/`);
    assert.deepEqual(await complaintsAbout(page), []);
    const row = page.getByRole('row').filter({ hasText: client });
    assert.match(await row.textContent(), /Judge Fintech[\s\S]*active/);
    assert.ok(await tabTo(page, 'Suspend'), 'the focus can be seen');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: `Let ${client} in again` }).waitFor();
    assert.match(await row.textContent(), /suspended/);
    await page.getByRole('button', { name: `Let ${client} in again` }).click();
    await page.getByRole('button', { name: `Suspend ${client}` }).waitFor();
    assert.match(await row.textContent(), /active/);
    await page.getByRole('heading', { name: 'Certificates, by their end' }).waitFor();
    await context.close();
  });

  test('a viewer sees the same and can change nothing', async () => {
    const context = await open('viewer');
    const page = await context.newPage();
    await page.goto(`${served.console}/`);
    assert.match(await page.locator('main').textContent(), /Judge Fintech/);
    assert.equal(await page.getByRole('button').count(), 0);
    await context.close();
  });

  test('whoever shows no certificate sees nothing', async () => {
    const context = await open();
    const page = await context.newPage();
    const answer = await page.goto(`${served.console}/`);
    assert.equal(answer.status(), 403);
    assert.doesNotMatch(await page.content(), /Judge Fintech/);
    await context.close();
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`it is readable for everybody, ${colorScheme}`, async () => {
      // Scripts run in this context, for axe; the page has none.
      const context = await open('operator', { colorScheme, javaScriptEnabled: true, bypassCSP: true });
      const page = await context.newPage();
      await page.goto(`${served.console}/`);
      assert.deepEqual(await violationsOf(page), []);
      await page.setViewportSize({ width: 360, height: 800 });
      assert.deepEqual(await complaintsAbout(page), []);
      await context.close();
    });
  }
});
