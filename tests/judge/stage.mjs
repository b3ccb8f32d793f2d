// What the tests with a browser play on: a sandbox, a fintech with a page of its
// own, and Chromium.

import { randomUUID } from 'node:crypto';

import * as oauth from 'openid-client';

import { openApplication, openBrowser } from './browser.mjs';
import { Api, connections, discover, push, register, signingKey } from './fintech.mjs';
import { startSandbox } from './sandbox.mjs';

export class Stage {
  // `more`: further metadata of the fintech; `args`: of the sandbox, as `startSandbox` takes them.
  static async open(more = {}, args = []) {
    const stage = new Stage();
    [stage.sandbox, stage.browser] = await Promise.all([startSandbox(args), openBrowser()]);
    stage.agent = connections(stage.sandbox, 'fintech');
    stage.key = await signingKey(stage.sandbox);
    stage.application = await openApplication(stage.sandbox);
    stage.config = await stage.registered(more);
    return stage;
  }

  async close() {
    await this.browser?.close();
    await this.application?.close();
    await this.agent?.close();
    await this.sandbox?.stop();
  }

  // A registered fintech.
  async registered(more = {}) {
    const metadata = { client_name: 'Harbour Budget', redirect_uris: [this.application.address], ...more };
    const { body } = await register(this.sandbox, this.agent, this.key.public, metadata);
    return discover(this.sandbox, this.agent, body.client_id, oauth.PrivateKeyJwt(this.key.private));
  }

  async own(scope, client = this.config) {
    const { access_token: token } = await oauth.clientCredentialsGrant(client, { scope });
    return new Api(this.sandbox, this.agent, token);
  }

  // Lodges a consent at each bank, and pushes the request for them.
  async start(banks, more = {}, client = this.config) {
    const api = await this.own('accounts', client);
    const consents = banks.length ? await api.lodge(banks) : [];
    return { api, consents, ...(await push(client, consents, { redirectUri: this.application.address, ...more })) };
  }

  // Orders a payment; the answer.
  async order() {
    const api = await this.own('payments');
    const order = {
      institution_id: 'gb-albion-bank',
      amount: { amount: '12.34', currency: 'GBP' },
      creditor: { name: 'Corner Bookshop' },
      creditor_account: { sort_code_account_number: { sort_code: '990011', account_number: '20000018' } },
      remittance: { unstructured: ['Invoice 2041'] },
      redirect_uri: this.application.address,
    };
    return { api, placed: await api.post('/v1/payments', order, { 'idempotency-key': randomUUID() }) };
  }
}
