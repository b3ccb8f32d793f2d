// The gateway as client of a bank judged by oidc-provider, a certified FAPI 2.0
// server: what it sends there, and that a person's data comes back.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';

import * as oauth from 'openid-client';

import { Bank, profileOf } from './judge/bank.mjs';
import { Api, connections, discover, push } from './judge/fintech.mjs';
import { Person } from './judge/person.mjs';
import { binary, startSandbox } from './judge/sandbox.mjs';

const BRANDS = [
  { id: 'gb-judge-tls', client: 'consentry-tls', auth: 'certificate', method: 'tls_client_auth' },
  { id: 'gb-judge-jwt', client: 'consentry-jwt', auth: 'signed-assertion', method: 'private_key_jwt' },
];

// Not its clients yet: they register by request (RFC 7591).
const NEWCOMERS = [
  { id: 'gb-judge-dcr-tls', auth: 'certificate', method: 'tls_client_auth' },
  { id: 'gb-judge-dcr-jwt', auth: 'signed-assertion', method: 'private_key_jwt' },
].map((brand) => ({
  ...brand,
  client: 'deployment',
  registration: '{ automatic = true, request = "json", organisation_id_in_subject = "attribute-name", read = true, update = true, delete = true }',
}));

describe('a certified bank', { timeout: 180_000 }, () => {
  let bank;
  let sandbox;
  let agents;
  let config;

  before(async () => {
    bank = await Bank.listen();
    sandbox = await startSandbox((_base, folder) => {
      const file = path.join(folder, 'judge-bank.toml');
      writeFileSync(file, profileOf(bank, [...BRANDS, ...NEWCOMERS]));
      return ['--auto-approve', '--banks', file];
    });
    bank.open(
      sandbox,
      BRANDS.map(({ id, client, method }) => ({ id: client, method, callback: `${sandbox.issuer}/callback/${id}` })),
    );
    agents = { fintech: connections(sandbox, 'fintech'), none: connections(sandbox) };
    config = await discover(sandbox, agents.fintech, 'demo-fintech', oauth.TlsClientAuth());
  });

  beforeEach(() => {
    bank.seen.length = 0;
    bank.psu = 'approve';
    bank.wrongIntent = undefined;
  });

  after(async () => {
    await Promise.all(Object.values(agents ?? {}).map((agent) => agent.close()));
    await sandbox?.stop();
    await bank?.close();
  });

  const own = async () => {
    const { access_token: token } = await oauth.clientCredentialsGrant(config, { scope: 'accounts' });
    return new Api(sandbox, agents.fintech, token);
  };

  const DEMO_RETURN = 'https://localhost:8455/return';
  const walk = async (brand) => {
    const consents = await (await own()).lodge([brand]);
    const { url, expected } = await push(config, consents, { redirectUri: DEMO_RETURN });
    const { url: back } = await new Person(agents.none).walk(url, DEMO_RETURN);
    return { consent: consents[0], back, expected };
  };

  const events = (event) => bank.seen.filter((seen) => seen.event === event);
  const errors = () => bank.seen.filter((seen) => seen.error);

  // What a command on banks says of a brand, with the gateway's own keys.
  const banks = (command, id, more = []) => {
    const file = path.join(sandbox.dataDir, '..', 'judge-bank.toml');
    const who = ['--profile', file, '--bank', id, '--data-dir', sandbox.dataDir];
    return new Promise((resolve) => {
      execFile(binary, ['banks', ...command, ...who, '--json', ...more], (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, stderr, ...JSON.parse(stdout || '{}') }));
    });
  };
  const back = (id) => ['--redirect-uri', `${sandbox.issuer}/callback/${id}`];
  const probe = (id, more = []) => banks(['probe'], id, [...back(id), ...more]);

  for (const { id } of BRANDS) {
    test(`authorises a probe of ${id}, step by step`, async () => {
      const report = await probe(id);
      assert.deepEqual([report.code, report.authorised, report.refused_because], [0, true, null], JSON.stringify(report));
      assert.deepEqual(
        report.steps.map(({ step }) => step),
        ['discovery', 'consent', 'push', 'browser', 'callback', 'token', 'id_token', 'consent status', 'accounts'],
      );
      assert.deepEqual(errors(), []);
    });
  }

  test('is told apart by a probe when it refuses, or answers what it must not', async () => {
    bank.psu = 'deny';
    const denied = await probe('gb-judge-jwt');
    assert.deepEqual([denied.code, denied.refused_because, denied.refused_at], [1, 'psu-cancelled', 'callback']);
    bank.psu = 'approve';
    bank.wrongIntent = 'another-consent';
    const wrong = await probe('gb-judge-jwt');
    assert.deepEqual([wrong.code, wrong.refused_because, wrong.refused_at], [1, 'authorization-invalid', 'id_token']);
    bank.wrongIntent = undefined;
    const pki = path.join(sandbox.dataDir, 'pki');
    const stranger = await probe('gb-judge-jwt', ['--trust-ca', path.join(pki, 'fintech.pem')]);
    assert.deepEqual([stranger.code, stranger.authorised, stranger.refused_at], [1, false, 'discovery']);
    const unknown = await probe('gb-judge-tls', [
      '--certificate', path.join(pki, 'fintech.pem'), '--key', path.join(pki, 'fintech.key'),
    ]);
    assert.deepEqual([unknown.code, unknown.authorised, unknown.refused_at], [1, false, 'consent']);
  });

  for (const { id, method } of NEWCOMERS) {
    test(`registers a gateway that will use ${method}, and manages that by its token (RFC 7591, 7592)`, async () => {
      const made = await banks(['register'], id, back(id));
      assert.equal(made.code, 0, JSON.stringify([made, errors()]));
      assert.equal(made.metadata.token_endpoint_auth_method, method);
      assert.ok(!JSON.stringify(made).includes('registration_access_token'), 'the token is no output');
      const file = path.join(sandbox.dataDir, '..', `${id}.deployment.toml`);
      assert.equal(statSync(file).mode & 0o777, 0o600);
      const first = readFileSync(file, 'utf8');
      assert.match(first, /registration_access_token = "[\w-]+"/);

      const probed = await probe(id);
      assert.equal(probed.authorised, true, JSON.stringify([probed, errors()]));
      const shown = await banks(['registration', 'show'], id);
      assert.equal(shown.client_id, made.client_id, JSON.stringify(shown));
      const changed = await banks(['registration', 'update'], id, back(id));
      assert.equal(changed.code, 0, JSON.stringify([changed, errors()]));
      assert.notEqual(readFileSync(file, 'utf8'), first, 'the bank gave another token');
      assert.equal((await banks(['registration', 'show'], id)).client_id, made.client_id);
      const ended = await banks(['registration', 'delete'], id);
      assert.equal(ended.deleted, made.client_id, JSON.stringify([ended, errors()]));
      assert.deepEqual(errors(), []);
      assert.match((await probe(id)).stderr, /client_id is empty/);
      assert.deepEqual(
        bank.seen.filter(({ event }) => event.startsWith('registration_')).map(({ event }) => event.split(/[_.]/)[1]),
        ['create', 'update', 'delete'],
      );
    });
  }

  for (const { id, client, method } of BRANDS) {
    test(`gives accounts, balances and transactions to a gateway that uses ${method}`, async () => {
      const { back, expected } = await walk(id);
      assert.deepEqual(errors(), []);
      const tokens = await oauth.authorizationCodeGrant(config, back, expected);
      const api = new Api(sandbox, agents.fintech, tokens.access_token);

      const accounts = await api.get('/v1/accounts');
      assert.equal(accounts.status, 200);
      assert.equal(accounts.body.data.length, 1, JSON.stringify(accounts.body));
      assert.equal(accounts.body.data[0].institution_id, id);
      const balances = await api.get('/v1/balances');
      assert.match(JSON.stringify(balances.body.data), /"1230\.00"/);
      const transactions = await api.get('/v1/transactions');
      assert.equal(transactions.body.data.length, 5, 'all three pages of the bank');
      assert.deepEqual(errors(), []);

      const [pushed] = events('pushed');
      assert.equal(pushed.client, client);
      assert.equal(pushed.signed, true, 'a signed request object (RFC 9101)');
      assert.equal(pushed.params.code_challenge_method, 'S256');
      assert.match(pushed.params.code_challenge, /^[\w-]{43}$/);
      assert.equal(pushed.params.redirect_uri, `${sandbox.issuer}/callback/${id}`);
      const claims = JSON.parse(pushed.params.claims);
      assert.ok(bank.consents.has(claims.id_token.openbanking_intent_id.value));
      const [granted] = events('granted').filter((seen) => seen.type === 'authorization_code');
      assert.equal(granted.verifier, true, 'PKCE (RFC 7636)');
      assert.equal(granted.assertion, method === 'private_key_jwt');
      const calls = events('called');
      assert.ok(calls.length >= 6);
      for (const call of calls) {
        assert.equal(call.bound, bank.gatewayThumbprint, `${call.path} with a token bound to our QWAC`);
        assert.match(call.interaction, /^[0-9a-f]{8}-[0-9a-f-]{27}$/);
        assert.equal(call.own, call.path.startsWith('/account-access-consents'), call.path);
      }
    });
  }

  test('may refuse, and the application is told', async () => {
    bank.psu = 'deny';
    const { back, expected, consent } = await walk('gb-judge-tls');
    await assert.rejects(
      oauth.authorizationCodeGrant(config, back, expected),
      (error) => error.error === 'access_denied',
    );
    const shown = await (await own()).get(`/v1/consents/${consent}`);
    assert.equal(shown.body.status, 'REJECTED');
  });

  test('is not believed when its id_token is about another consent', async () => {
    bank.wrongIntent = 'somebody-elses';
    const [consent] = await (await own()).lodge(['gb-judge-tls']);
    const { url } = await push(config, [consent], { redirectUri: DEMO_RETURN });
    // The person learns it on a page of ours, or the application by an error.
    const end = await new Person(agents.none).walk(url, DEMO_RETURN).catch((error) => error);
    assert.ok(end instanceof Error || end.url.searchParams.has('error'), String(end.url));
    const shown = await (await own()).get(`/v1/consents/${consent}`);
    assert.equal(shown.body.status, 'FAILED');
  });

  test('forgets a consent that the application withdraws', async () => {
    const { back, expected, consent } = await walk('gb-judge-jwt');
    const tokens = await oauth.authorizationCodeGrant(config, back, expected);
    const before = bank.consents.size;
    assert.equal((await (await own()).delete(`/v1/consents/${consent}`)).status, 204);
    assert.equal(bank.consents.size, before - 1);
    const api = new Api(sandbox, agents.fintech, tokens.access_token);
    const accounts = await api.get('/v1/accounts');
    assert.notEqual(accounts.status, 200, JSON.stringify(accounts.body));
    assert.equal(events('called').filter((call) => call.path === '/accounts').length, 0);
  });
});
