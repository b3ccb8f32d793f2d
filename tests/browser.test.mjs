// The pages as a person meets them: Chromium, no JavaScript, and for the main
// way no mouse either.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import * as oauth from 'openid-client';

import { complaintsAbout, openContext, tabTo } from './judge/browser.mjs';
import { Api } from './judge/fintech.mjs';
import { Stage } from './judge/stage.mjs';

const SCREENSHOT = path.resolve(import.meta.dirname, '../docs/consent-page.png');

// Asks until it holds; the time limit of the tests ends what never does.
async function expectEventually(condition) {
  while (!(await condition()));
}

describe('a person with a browser', { timeout: 240_000 }, () => {
  let stage;
  let sandbox;
  let config;
  let browser;
  let application;

  before(async () => {
    stage = await Stage.open();
    ({ sandbox, config, browser, application } = stage);
  });

  after(() => stage?.close());

  const start = (banks) => stage.start(banks);

  const sound = async (page) => assert.deepEqual(await complaintsAbout(page), [], page.url());

  // At a model bank: the users and the password are on its page.
  const decideAtBank = async (page, decision, user = 'anna') => {
    await page.getByLabel('User', { exact: true }).fill(user);
    await sound(page);
    await page.getByLabel('Password').fill('sandbox');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('button', { name: decision }).waitFor();
    await sound(page);
    await page.getByRole('button', { name: decision }).click();
  };
  const approveAtBank = (page) => decideAtBank(page, 'Approve');

  const redeem = async (page, expected) => {
    const back = new URL(page.url());
    assert.ok(back.href.startsWith(application.address), back.href);
    const tokens = await oauth.authorizationCodeGrant(config, back, expected);
    return new Api(sandbox, stage.agent, tokens.access_token).get('/v1/accounts');
  };

  test('approves with the keyboard alone, at our page and at the bank', async () => {
    const { url, expected } = await start(['gb-albion-bank']);
    const context = await openContext(browser);
    const page = await context.newPage();
    const response = await page.goto(url.href);
    const headers = response.headers();
    assert.match(headers['content-security-policy'], /default-src 'none'/);
    assert.match(headers['content-security-policy'], /frame-ancestors 'none'/);
    await sound(page);
    assert.equal(await page.locator('h1').textContent(), 'Harbour Budget asks to see your accounts');
    assert.match(await page.locator('main').textContent(), /Albion Bank[\s\S]*Balances[\s\S]*Until/);

    assert.ok(await tabTo(page, 'Approve'), 'the focus can be seen');
    await page.keyboard.press('Enter');
    await page.waitForURL((at) => at.origin !== sandbox.issuer);
    await sound(page);
    // The page gives the user field the focus, once it is there: until then keys go nowhere.
    await page.getByLabel('User', { exact: true }).and(page.locator(':focus')).waitFor();
    await page.keyboard.type('anna');
    await page.keyboard.press('Tab');
    await page.keyboard.type('sandbox');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Approve' }).waitFor();
    await sound(page);
    assert.ok(await tabTo(page, 'Approve'), 'the focus can be seen');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${application.address}**`);
    const accounts = await redeem(page, expected);
    assert.ok(accounts.body.data.length > 0);
    await context.close();
  });

  test('searches and chooses a bank where the application named only a region', async () => {
    const { url, expected } = await start(['eu']);
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(url.href);
    await sound(page);
    assert.equal(await page.getByRole('button', { name: 'Approve' }).count(), 0, 'nothing to approve yet');

    await page.getByLabel('Search by name').fill('no such bank');
    await page.getByRole('button', { name: 'Search' }).click();
    await sound(page);
    assert.match(await page.getByRole('status').textContent(), /No bank matches/);
    await page.getByLabel('Search by name').fill('rhein');
    await page.getByRole('button', { name: 'Search' }).click();
    await sound(page);
    await page.getByLabel(/^Rheinbank/).check();
    await page.getByRole('button', { name: 'Choose' }).click();
    await sound(page);
    await page.getByRole('heading', { name: 'Rheinbank' }).waitFor();
    await page.getByRole('button', { name: 'Approve' }).click();
    await approveAtBank(page);
    await page.waitForURL(`${application.address}**`);
    const accounts = await redeem(page, expected);
    assert.deepEqual([...new Set(accounts.body.data.map((account) => account.institution_id))], ['de-rheinbank']);
    await context.close();
  });

  test('approves two banks in one go', async () => {
    const { url, expected } = await start(['gb-albion-bank', 'de-rheinbank']);
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(url.href);
    await sound(page);
    if (process.env.UPDATE_SCREENSHOT === '1' || !existsSync(SCREENSHOT)) {
      await page.screenshot({ path: SCREENSHOT, fullPage: true });
    }
    await page.getByRole('button', { name: 'Approve' }).click();
    await approveAtBank(page);
    await page.getByText('Rheinbank').first().waitFor();
    await approveAtBank(page);
    await page.waitForURL(`${application.address}**`);
    const accounts = await redeem(page, expected);
    const banks = new Set(accounts.body.data.map((account) => account.institution_id));
    assert.deepEqual([...banks].sort(), ['de-rheinbank', 'gb-albion-bank']);
    await context.close();
  });

  test('confirms in the app of a bank that has no page for it', async () => {
    const { url, expected } = await start(['fr-banque-lumiere']);
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(url.href);
    await sound(page);
    await page.getByLabel('Your user name at Banque Lumière').fill('anna');
    await page.getByRole('button', { name: 'Approve' }).click({ noWaitAfter: true });
    const phone = await (await openContext(browser, { viewport: { width: 390, height: 780 } })).newPage();
    // The bank's app shows what waits for anna, once it does.
    await expectEventually(async () => {
      await phone.goto(sandbox.app);
      await phone.getByLabel('User', { exact: true }).fill('anna');
      await phone.getByLabel('Password').fill('sandbox');
      await phone.getByRole('button', { name: 'Log in' }).click();
      await phone.getByRole('heading', { name: 'Waiting for you' }).waitFor();
      return (await phone.getByRole('button', { name: 'Approve' }).count()) > 0;
    });
    await sound(phone);
    await phone.getByRole('button', { name: 'Approve' }).click();
    // The waiting page goes on by itself, without JavaScript.
    await page.waitForURL(`${application.address}**`);
    const accounts = await redeem(page, expected);
    assert.ok(accounts.body.data.length > 0);
    await Promise.all([context.close(), phone.context().close()]);
  });

  test('pays, and sees before what is paid to whom', async () => {
    const { api, placed } = await stage.order();
    assert.equal(placed.status, 201, JSON.stringify(placed.body));
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(placed.body.authorization.href);
    await sound(page);
    assert.match(await page.locator('h1').textContent(), /12\.34\sGBP to Corner Bookshop/);
    assert.match(await page.locator('main').textContent(), /Invoice 2041[\s\S]*Albion Bank[\s\S]*Harbour Budget/);
    await page.getByRole('button', { name: 'Approve' }).click();
    await approveAtBank(page);
    await page.waitForURL(`${application.address}**`);
    let payment;
    await expectEventually(async () => {
      payment = (await api.get(`/v1/payments/${placed.body.id}`)).body;
      return payment.final;
    });
    assert.equal(payment.state, 'SETTLED');
    await context.close();
  });

  test('declines at our page', async () => {
    const { url, api, consents } = await start(['gb-albion-bank']);
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(url.href);
    await page.getByRole('button', { name: 'Decline' }).click();
    await page.waitForURL(`${application.address}**`);
    const back = new URL(page.url());
    assert.equal(back.searchParams.get('error'), 'access_denied');
    assert.equal(back.searchParams.get('iss'), sandbox.issuer);
    assert.equal((await api.get(`/v1/consents/${consents[0]}`)).body.status, 'REJECTED');
    await context.close();
  });

  test('declines at the bank', async () => {
    const { url, api, consents } = await start(['de-rheinbank']);
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(url.href);
    await page.getByRole('button', { name: 'Approve' }).click();
    await decideAtBank(page, 'Decline', 'ben');
    await page.waitForURL(`${application.address}**`);
    assert.equal(new URL(page.url()).searchParams.get('error'), 'access_denied');
    assert.equal((await api.get(`/v1/consents/${consents[0]}`)).body.status, 'REJECTED');
    await context.close();
  });

  test('cannot go on in another browser, and is told why', async () => {
    const { url } = await start(['gb-albion-bank']);
    const [first, second] = [await openContext(browser), await openContext(browser)];
    const page = await first.newPage();
    await page.goto(url.href);
    const other = await second.newPage();
    const response = await other.goto(page.url());
    assert.equal(response.status(), 400);
    await sound(other);
    assert.match(await other.getByRole('alert').textContent(), /browser in which you began/);
    await Promise.all([first.close(), second.close()]);
  });

  test('reads the pages on a small screen, in the dark', async () => {
    const { url } = await start(['gb-albion-bank', 'eu']);
    const context = await openContext(browser, { viewport: { width: 320, height: 640 }, colorScheme: 'dark' });
    const page = await context.newPage();
    await page.goto(url.href);
    await sound(page);
    const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const [red] = paper.match(/\d+/);
    assert.ok(Number(red) < 64, paper);
    await context.close();
  });
});
