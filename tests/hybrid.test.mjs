// A bank of the hybrid response type answers behind the `#`, which no browser sends
// to a server: the one page of ours that needs JavaScript takes it from there.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import * as oauth from 'openid-client';

import { complaintsAbout, openContext } from './judge/browser.mjs';
import { Api } from './judge/fintech.mjs';
import { Stage } from './judge/stage.mjs';

// The UK model bank, asked for `code id_token` by the browser.
const profile = (base) => `
group = "Hybrid"

[defaults]
dialect = "uk-open-banking"
region = "uk"
countries = ["GB"]
environment = "sandbox"
capabilities = ["accounts", "balances", "transactions"]
sca = ["oauth"]
client_auth = "certificate"
signing = { method = "detached-jws", trust_anchor = "consentry.example" }

[[brand]]
id = "gb-albion-bank"
name = "Albion Bank"
client_id = "consentry-gateway"
accounts_api = { use = "4.0", "4.0" = "https://localhost:${base + 4}/open-banking/v4.0/aisp" }
authorization_server = { issuer = "https://localhost:${base + 5}", response_type = "code id_token", signed_request_object = true }
`;

describe('a bank that answers in the fragment', { timeout: 120_000 }, () => {
  let stage;

  before(async () => {
    stage = await Stage.open({}, (base, folder) => {
      const file = path.join(folder, 'hybrid.toml');
      writeFileSync(file, profile(base));
      return ['--auto-approve', '--banks', file];
    });
  });

  after(() => stage?.close());

  test('is understood by a browser with JavaScript, and nothing of it stays in the history', async () => {
    const { url, expected } = await stage.start(['gb-albion-bank']);
    const context = await openContext(stage.browser, { javaScriptEnabled: true });
    const page = await context.newPage();
    const seen = [];
    page.on('framenavigated', (frame) => seen.push(frame.url()));
    await page.goto(url.href);
    await page.waitForURL((at) => at.href.startsWith(stage.application.address));
    const handedOver = seen.filter((at) => at.includes('/callback/gb-albion-bank#code='));
    assert.equal(handedOver.length, 1, seen.map((at) => new URL(at).pathname).join(' '));
    assert.match(handedOver[0], /[#&]id_token=/);
    const tokens = await oauth.authorizationCodeGrant(stage.config, new URL(page.url()), expected);
    const accounts = await new Api(stage.sandbox, stage.agent, tokens.access_token).get('/v1/accounts');
    assert.ok(accounts.body.data.length > 0);
    await context.close();
  });

  test('is explained to a browser without', async () => {
    const { url } = await stage.start(['gb-albion-bank']);
    const context = await openContext(stage.browser);
    const page = await context.newPage();
    const response = await page.goto(url.href);
    assert.equal(await page.locator('h1').textContent(), 'Back from your bank');
    assert.match(await page.locator('main').textContent(), /allow JavaScript here/);
    assert.match(response.headers()['content-security-policy'], /script-src 'self'/);
    // The script is what the page is for.
    assert.deepEqual(await complaintsAbout(page), ['a script']);
    await context.close();
  });
});
