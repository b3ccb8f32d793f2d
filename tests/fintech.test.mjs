// The gateway judged by openid-client, a certified FAPI 2.0 client: what a
// fintech does from registration to the accounts of two banks, and what it
// must not get away with.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import * as oauth from 'openid-client';

import { Api, RETURN, connections, discover, push, register, signingKey } from './judge/fintech.mjs';
import { Person } from './judge/person.mjs';
import { startSandbox } from './judge/sandbox.mjs';

const BANKS = ['gb-albion-bank', 'de-rheinbank'];

describe('a certified client', { timeout: 180_000 }, () => {
  let sandbox;
  let agents;
  let key;
  let config;

  before(async () => {
    sandbox = await startSandbox(['--auto-approve']);
    agents = {
      fintech: connections(sandbox, 'fintech'),
      other: connections(sandbox, 'gateway-qwac'),
      none: connections(sandbox),
    };
    key = await signingKey(sandbox);
    const registered = await register(sandbox, agents.fintech, key.public);
    assert.equal(registered.status, 201);
    assert.equal(registered.body.tls_client_certificate_bound_access_tokens, true);
    config = await discover(sandbox, agents.fintech, registered.body.client_id, oauth.PrivateKeyJwt(key.private));
  });

  after(async () => {
    await Promise.all(Object.values(agents ?? {}).map((agent) => agent.close()));
    await sandbox?.stop();
  });

  const ownToken = async (by = config) =>
    (await oauth.clientCredentialsGrant(by, { scope: 'accounts' })).access_token;

  const grant = async (by, banks, { scope, psu } = {}) => {
    const consents = await new Api(sandbox, agents.fintech, await ownToken(by)).lodge(banks);
    const { url, expected } = await push(by, consents, { scope });
    const person = new Person(agents.none, psu ? { 'x-sandbox-psu': psu } : {});
    const { url: back } = await person.walk(url, RETURN);
    return { consents, url, back, expected };
  };

  test('reads the accounts of two banks in two countries under one token', async () => {
    const { consents, url, back, expected } = await grant(config, BANKS);
    assert.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri'], 'RFC 9126 §4');
    assert.equal(back.searchParams.get('iss'), sandbox.issuer, 'RFC 9207');
    const tokens = await oauth.authorizationCodeGrant(config, back, expected);
    assert.deepEqual(
      tokens.authorization_details.map((detail) => detail.consent_id).sort(),
      [...consents].sort(),
      'RFC 9396 §7',
    );
    const accounts = await new Api(sandbox, agents.fintech, tokens.access_token).get('/v1/accounts');
    assert.equal(accounts.status, 200);
    const seen = new Set(accounts.body.data.map((account) => account.institution_id));
    assert.deepEqual([...seen].sort(), [...BANKS].sort());
    assert.ok(accounts.body.sources.every((source) => source.status === 'OK'));
  });

  test('authenticates by its certificate alone', async () => {
    const demo = await discover(sandbox, agents.fintech, 'demo-fintech', oauth.TlsClientAuth());
    const token = await ownToken(demo);
    const answer = await new Api(sandbox, agents.fintech, token).get('/v1/institutions?limit=1');
    assert.equal(answer.status, 200);
    const elsewhere = await discover(sandbox, agents.other, 'demo-fintech', oauth.TlsClientAuth());
    await assert.rejects(ownToken(elsewhere), (error) => error.error === 'invalid_client');
  });

  test('gets an id_token that it can verify when it asks for openid', async () => {
    const { back, expected } = await grant(config, ['gb-albion-bank'], { scope: 'openid accounts' });
    const tokens = await oauth.authorizationCodeGrant(config, back, expected);
    const [header] = tokens.id_token.split('.');
    assert.equal(JSON.parse(Buffer.from(header, 'base64url')).alg, 'PS256');
    assert.equal(tokens.claims().iss, sandbox.issuer);
    assert.equal(tokens.claims().aud, config.clientMetadata().client_id);
  });

  test('cannot use a token without its certificate, nor with another one (RFC 8705 §3)', async () => {
    const { back, expected } = await grant(config, ['de-rheinbank']);
    const { access_token: token } = await oauth.authorizationCodeGrant(config, back, expected);
    for (const [who, status] of [['fintech', 200], ['other', 401], ['none', 401], ['fintech', 200]]) {
      const answer = await new Api(sandbox, agents[who], token).get('/v1/accounts');
      assert.equal(answer.status, status, who);
    }
  });

  test('cannot redeem a code twice, and loses the token that it had (RFC 6749 §4.1.2)', async () => {
    const { back, expected } = await grant(config, ['gb-albion-bank']);
    const { access_token: token } = await oauth.authorizationCodeGrant(config, back, expected);
    const api = new Api(sandbox, agents.fintech, token);
    assert.equal((await api.get('/v1/accounts')).status, 200);
    await assert.rejects(
      oauth.authorizationCodeGrant(config, back, expected),
      (error) => error.error === 'invalid_grant',
    );
    assert.equal((await api.get('/v1/accounts')).status, 401);
  });

  test('cannot redeem a code with another verifier (RFC 7636 §4.6)', async () => {
    const { back, expected } = await grant(config, ['gb-albion-bank']);
    const wrong = { ...expected, pkceCodeVerifier: oauth.randomPKCECodeVerifier() };
    await assert.rejects(
      oauth.authorizationCodeGrant(config, back, wrong),
      (error) => error.error === 'invalid_grant',
    );
  });

  test('learns that the person declined', async () => {
    const { back, expected, consents } = await grant(config, ['gb-albion-bank'], { psu: 'deny' });
    await assert.rejects(
      oauth.authorizationCodeGrant(config, back, expected),
      (error) => error.error === 'access_denied',
    );
    const api = new Api(sandbox, agents.fintech, await ownToken());
    const consent = await api.get(`/v1/consents/${consents[0]}`);
    assert.equal(consent.body.status, 'REJECTED');
  });

  test('gets one consent for one idempotency key', async () => {
    const api = new Api(sandbox, agents.fintech, await ownToken());
    const key = randomUUID();
    const body = { type: 'ACCOUNT_INFORMATION', institution_id: 'gb-albion-bank', permissions: ['READ_BALANCES', 'READ_ACCOUNTS_DETAIL'] };
    const lodge = (asked) => api.post('/v1/consents', asked, { 'idempotency-key': key });
    const [first, again] = [await lodge(body), await lodge(body)];
    assert.equal(first.status, 201);
    assert.equal(again.body.id, first.body.id);
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
    const changed = await lodge({ ...body, permissions: ['READ_ACCOUNTS_DETAIL'] });
    assert.equal(changed.status, 422);
  });

  test('cannot register or push without a certificate', async () => {
    const refused = await register(sandbox, agents.none, key.public);
    assert.equal(refused.status, 401);
    assert.equal(refused.body.error, 'invalid_client');
    const id = config.clientMetadata().client_id;
    await push(config, []);
    const bare = await discover(sandbox, agents.none, id, oauth.PrivateKeyJwt(key.private));
    await assert.rejects(push(bare, []), (error) => error.error === 'invalid_client');
  });
});
