// The pages for everybody: every page in every language, light and dark, small
// and large, against WCAG 2.2 AA (axe); the dashboard by keyboard alone.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { complaintsAbout, openContext, tabTo, violationsOf } from './judge/browser.mjs';
import { Stage } from './judge/stage.mjs';

// A word of the consent page, the waiting page and the dashboard in each language.
const LANGUAGES = {
  en: ['asks to see your accounts', 'Confirm at your bank', 'Who has access to your accounts'],
  de: ['möchte Ihre Konten sehen', 'Bestätigen Sie bei Ihrer Bank', 'Wer auf Ihre Konten zugreifen darf'],
  fr: ['demande à consulter vos comptes', 'Confirmez auprès de votre banque', 'Qui a accès à vos comptes'],
  es: ['solicita ver sus cuentas', 'Confirme en su banco', 'Quién tiene acceso a sus cuentas'],
  it: ['chiede di vedere i Suoi conti', 'Confermi presso la Sua banca', 'Chi ha accesso ai Suoi conti'],
  pl: ['prosi o wgląd w Twoje rachunki', 'Potwierdź w swoim banku', 'Kto ma dostęp do Twoich rachunków'],
};
const DETAILS = [
  {
    type: 'payment_initiation',
    instructedAmount: { amount: '1234.50', currency: 'EUR' },
    creditorAccount: { iban: 'DE89370400440532013000' },
    creditorName: 'Buchhandlung an der Ecke',
    remittanceInformationUnstructured: 'Rechnung 2041',
  },
  {
    type: 'vrp',
    creditorAccount: { sortCode: '990011', accountNumber: '20000018' },
    creditorName: 'Savings Pot',
    maximumIndividualAmount: { amount: '50.00', currency: 'GBP' },
    periodicLimits: [{ amount: { amount: '200.00', currency: 'GBP' }, periodType: 'Month', periodAlignment: 'Calendar' }],
    validTo: '2030-12-31',
  },
];

describe('the pages for everybody', { timeout: 480_000 }, () => {
  let stage;
  let sandbox;
  let config;
  let browser;
  let application;

  before(async () => {
    stage = await Stage.open({
      client_uri: 'https://harbour.example/',
      policy_uri: 'https://harbour.example/privacy',
      tos_uri: 'https://harbour.example/terms',
    });
    ({ sandbox, config, browser, application } = stage);
  });

  after(() => stage?.close());

  const start = (banks, more, client) => stage.start(banks, more, client);

  // Scripts run in this context, for axe; the pages have none (complaintsAbout).
  const reader = (locale) => openContext(browser, { javaScriptEnabled: true, locale });

  // Light and dark; a window of 320 px (WCAG 1.4.10); text of twice the size (1.4.4).
  const forEverybody = async (page, language) => {
    const where = `${language} ${page.url()}`;
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await violationsOf(page), [], `${where} ${colorScheme}`);
    }
    assert.deepEqual(await complaintsAbout(page, language), [], where);
    await page.setViewportSize({ width: 320, height: 640 });
    assert.deepEqual(await complaintsAbout(page, language), [], `${where} at 320 px`);
    await page.setViewportSize({ width: 640, height: 900 });
    await page.evaluate(() => (document.documentElement.style.fontSize = '200%'));
    assert.deepEqual(await complaintsAbout(page, language), [], `${where} at 200 %`);
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll('h1, h2, h3, p, dt, dd, li, label, button, a')]
        .filter((element) => element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1)
        .map((element) => element.textContent),
    );
    assert.deepEqual(cut, [], `${where} is cut off at 200 %`);
    await page.evaluate(() => (document.documentElement.style.fontSize = ''));
    await page.setViewportSize({ width: 960, height: 900 });
  };

  const approveAtBank = async (page) => {
    await page.getByLabel('User', { exact: true }).fill('anna');
    await page.getByLabel('Password').fill('sandbox');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('button', { name: 'Approve' }).click();
  };

  const go = (page) => page.locator('form[action$="/sca"] button').click();
  const approve = (page) => page.locator('button[value=approve]').click();

  for (const [language, [asks, waits, access]] of Object.entries(LANGUAGES)) {
    test(`reads every page in ${language}, light and dark, small and large`, async () => {
      const context = await reader(language);
      const page = await context.newPage();

      await page.goto(`${sandbox.issuer}/access`);
      await forEverybody(page, language);

      const { url } = await start(['gb-albion-bank'], { details: DETAILS, scope: 'accounts payments' });
      await page.goto(url.href);
      assert.match(await page.locator('h1').textContent(), new RegExp(asks));
      await forEverybody(page, language);
      const other = await reader(language);
      const stranger = await other.newPage();
      await stranger.goto(page.url());
      await forEverybody(stranger, language);
      await other.close();
      await page.locator('button[value=decline]').click();
      await page.waitForURL(`${application.address}**`);

      const choice = await start(['eu']);
      await page.goto(choice.url.href);
      await forEverybody(page, language);
      await page.goto(`${page.url()}?q=nothing`);
      await forEverybody(page, language);

      await page.goto((await stage.order()).placed.body.authorization.href);
      await forEverybody(page, language);

      // Approved in part: the dashboard has what is in force, and what is not decided.
      const given = await start(['gb-albion-bank']);
      await page.goto(given.url.href);
      await approve(page);
      await approveAtBank(page);
      await page.waitForURL(`${application.address}**`);

      const decoupled = await start(['fr-banque-lumiere']);
      await page.goto(decoupled.url.href);
      await page.locator('input[autocomplete=username]').fill('anna');
      await forEverybody(page, language);
      // Held still: it would look again while axe looks.
      await page.route('**/wait', async (route) => {
        const response = await route.fetch();
        const { refresh, ...headers } = response.headers();
        assert.match(refresh ?? '', /^2; url=\/consent\//);
        await route.fulfill({ response, headers });
      });
      await approve(page);
      await page.getByRole('heading', { name: waits }).waitFor();
      await forEverybody(page, language);
      await page.locator('form[action$="/leave"] button').click();
      await page.waitForURL(`${application.address}**`);

      // A bank that asks on our pages: password, choice, the picture and the data to
      // answer, and a mistake.
      const choose = async (method) => {
        const embedded = await start(['at-donaubank']);
        await page.goto(embedded.url.href);
        await page.locator('input[autocomplete=username]').fill('anna');
        if (method === 'photo') await forEverybody(page, language);
        await approve(page);
        await page.locator('#password').fill('wrong');
        if (method === 'photo') await forEverybody(page, language);
        await go(page);
        await page.getByRole('alert').waitFor();
        if (method === 'photo') await forEverybody(page, language);
        await page.locator('#password').fill('sandbox');
        await go(page);
        await page.locator(`input[value=${method}]`).check();
        if (method === 'photo') await forEverybody(page, language);
        await go(page);
        await page.locator('#code').waitFor();
        await forEverybody(page, language);
      };
      await choose('chip');
      await page.locator('form[action$="/leave"] button').click();
      await page.waitForURL(`${application.address}**`);
      await choose('photo');
      const drawn = await page.locator('.picture img').evaluate((image) => image.naturalWidth);
      assert.ok(drawn > 0, 'the picture is drawn under the policy of its page');
      await page.locator('#code').fill('000000');
      await go(page);
      await page.getByRole('alert').waitFor();
      await page.locator('#code').fill('123456');
      await go(page);
      await page.waitForURL(`${application.address}**`);

      await page.goto(`${sandbox.issuer}/access`);
      assert.equal(await page.locator('h1').textContent(), access);
      await forEverybody(page, language);
      await page.locator('form[action="/access/withdraw"] button').first().click();
      await page.getByRole('status').waitFor();
      await forEverybody(page, language);
      await context.close();
    });
  }

  test('withdraws access on the dashboard with the keyboard alone', async () => {
    const { url, api, consents } = await start(['gb-albion-bank']);
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(url.href);
    await approve(page);
    await approveAtBank(page);
    await page.waitForURL(`${application.address}**`);
    await page.goto(`${sandbox.issuer}/access`);
    assert.ok(await tabTo(page, 'Withdraw access for Harbour Budget'), 'the focus can be seen');
    await page.keyboard.press('Enter');
    const said = page.getByRole('status');
    await said.waitFor();
    assert.match(await said.textContent(), /Access was withdrawn: Harbour Budget at Albion Bank/);
    assert.equal((await api.get(`/v1/consents/${consents[0]}`)).body.status, 'REVOKED_BY_PSU');
    assert.ok(await tabTo(page, 'Make this browser forget'), 'the focus can be seen');
    await page.keyboard.press('Enter');
    await page.getByText('Nothing was allowed in this browser').waitFor();
    assert.equal((await context.cookies()).filter(({ name }) => name === '__Host-consentry-person').length, 0);
    await context.close();
  });

  test('gives more time with the keyboard alone', async () => {
    const { url } = await start(['gb-albion-bank']);
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(url.href);
    const before = page.url();
    assert.ok(await tabTo(page, 'I need more time'), 'the focus can be seen');
    await page.keyboard.press('Enter');
    await page.getByText('stays open for 30 min').waitFor();
    assert.equal(page.url(), before);
    await context.close();
  });

  test('a client has its own colours, light and dark, and nobody else has', async () => {
    const themed = await stage.registered({ consentry_theme: { accent: '#6a1b9a', accent_dark: '#ce93d8' } });
    const lightOnly = await stage.registered({ consentry_theme: { accent: '#6a1b9a' } });
    const context = await reader('en');
    const page = await context.newPage();
    const colours = async (client) => {
      await page.goto((await start(['gb-albion-bank'], {}, client)).url.href);
      const seen = [];
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        const button = page.getByRole('button', { name: 'Approve' });
        seen.push(await button.evaluate((element) => getComputedStyle(element).backgroundColor));
        assert.deepEqual(await violationsOf(page), [], colorScheme);
      }
      return seen;
    };
    assert.deepEqual(await colours(themed), ['rgb(106, 27, 154)', 'rgb(206, 147, 216)']);
    assert.deepEqual(await colours(lightOnly), ['rgb(106, 27, 154)', 'rgb(142, 194, 255)']);
    assert.deepEqual(await colours(config), ['rgb(11, 79, 158)', 'rgb(142, 194, 255)']);
    await context.close();
  });
});
