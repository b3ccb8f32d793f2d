// FAPI 2.0 with Message Signing, judged by openid-client: each way to
// authenticate, to bind tokens and to sign, from the request to the revocation.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import * as jose from 'jose';
import * as oauth from 'openid-client';
import { Agent } from 'undici';

import { Api, RETURN, connections, register, signingKey, via } from './judge/fintech.mjs';
import { Person } from './judge/person.mjs';
import { startSandbox } from './judge/sandbox.mjs';

const SIGNED = {
  id_token_signed_response_alg: 'PS256',
  authorization_signed_response_alg: 'PS256',
  introspection_signed_response_alg: 'PS256',
};
const ALL_GRANTS = ['authorization_code', 'refresh_token', 'client_credentials'];
const CIBA = 'urn:openid:params:grant-type:ciba';

// A certificate that nobody signed but its owner.
function selfSigned(folder) {
  const [key, certificate] = ['own.key', 'own.pem'].map((name) => path.join(folder, name));
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-subj', '/CN=own', '-keyout', key, '-out', certificate], {
    stdio: 'ignore',
  });
  return { key: readFileSync(key), cert: readFileSync(certificate) };
}

describe('a certified client of the whole profile', { timeout: 180_000 }, () => {
  let sandbox;
  let agents;
  let keys;
  let own;

  before(async () => {
    sandbox = await startSandbox((_base, folder) => {
      own = selfSigned(folder);
      const jwk = createPublicKey(own.cert).export({ format: 'jwk' });
      const der = own.cert.toString().replace(/-----[^-]+-----|\s/g, '');
      const clients = path.join(folder, 'clients.json');
      writeFileSync(
        clients,
        JSON.stringify([
          {
            client_id: 'self-signed',
            redirect_uris: [RETURN],
            grant_types: ALL_GRANTS,
            token_endpoint_auth_method: 'self_signed_tls_client_auth',
            jwks: { keys: [{ ...jwk, x5c: [der] }] },
            scope: 'openid accounts payments',
          },
        ]),
      );
      return ['--auto-approve', '--clients', clients];
    });
    agents = {
      fintech: connections(sandbox, 'fintech'),
      other: connections(sandbox, 'gateway-qwac'),
      none: connections(sandbox),
      own: new Agent({ connect: { ca: sandbox.pki('root.pem'), ...own } }),
    };
    const ps256 = await jose.generateKeyPair('PS256', { extractable: true });
    const ed25519 = await jose.generateKeyPair('Ed25519', { extractable: true });
    const pair = async ({ privateKey, publicKey }, kid, alg) => ({
      private: { key: privateKey, kid },
      public: { ...(await jose.exportJWK(publicKey)), kid, alg, use: 'sig' },
    });
    keys = {
      ES256: await signingKey(sandbox),
      PS256: await pair(ps256, 'judge-ps', 'PS256'),
      EdDSA: await pair(ed25519, 'judge-ed', 'EdDSA'),
    };
  });

  after(async () => {
    await Promise.all(Object.values(agents ?? {}).map((agent) => agent.close()));
    await sandbox?.stop();
  });

  // The registered client, ready to use.
  const client = async (key, more = {}, { agent = agents.fintech } = {}) => {
    const registered = await register(sandbox, agents.fintech, key.public, { grant_types: ALL_GRANTS, ...more });
    assert.equal(registered.status, 201, JSON.stringify(registered.body));
    return configuration(registered.body.client_id, oauth.PrivateKeyJwt(key.private), agent, more);
  };
  const configuration = async (id, auth, agent, more = {}) => {
    const metadata = { ...SIGNED, use_mtls_endpoint_aliases: true };
    if (!more.introspection_signed_response_alg) delete metadata.introspection_signed_response_alg;
    const options = { [oauth.customFetch]: via(agent) };
    const config = await oauth.discovery(new URL(sandbox.issuer), id, metadata, auth, options);
    oauth.enableNonRepudiationChecks(config);
    return config;
  };

  // From lodging a consent to the tokens.
  const grant = async (config, { DPoP, sign, details, scope = 'openid accounts payments' } = {}) => {
    const { access_token: token } = await oauth.clientCredentialsGrant(config, { scope: 'accounts' }, { DPoP });
    const lodged = details ?? (await lodge(config, token, DPoP));
    const verifier = oauth.randomPKCECodeVerifier();
    const expected = { expectedState: oauth.randomState(), expectedNonce: oauth.randomNonce() };
    let asked = {
      redirect_uri: RETURN,
      scope,
      state: expected.expectedState,
      nonce: expected.expectedNonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      authorization_details: JSON.stringify(lodged),
    };
    if (sign) {
      const notBefore = (_header, claims) => {
        claims.nbf = Math.floor(Date.now() / 1000);
      };
      const url = await oauth.buildAuthorizationUrlWithJAR(config, asked, sign, { [oauth.modifyAssertion]: notBefore });
      asked = Object.fromEntries(url.searchParams);
    }
    const url = await oauth.buildAuthorizationUrlWithPAR(config, asked, { DPoP });
    assert.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri']);
    const { url: back } = await new Person(agents.none).walk(url, RETURN);
    const checks = { ...expected, pkceCodeVerifier: verifier, idTokenExpected: true };
    const tokens = await oauth.authorizationCodeGrant(config, back, checks, undefined, { DPoP });
    return { tokens, back, lodged };
  };

  const lodge = async (config, token, DPoP) => {
    const body = {
      type: 'ACCOUNT_INFORMATION',
      institution_id: 'gb-albion-bank',
      permissions: ['READ_ACCOUNTS_DETAIL', 'READ_BALANCES'],
    };
    const headers = new Headers({ 'content-type': 'application/json', 'idempotency-key': randomUUID() });
    const url = new URL(`${sandbox.api}/v1/consents`);
    const answer = await oauth.fetchProtectedResource(config, token, url, 'POST', JSON.stringify(body), headers, { DPoP });
    return [{ type: 'account_access', consent_id: (await answer.json()).id }];
  };

  const read = async (config, token, DPoP) => {
    const headers = new Headers({ 'psu-ip-address': '192.0.2.7' });
    const url = new URL(`${sandbox.api}/v1/accounts`);
    try {
      const answer = await oauth.fetchProtectedResource(config, token, url, 'GET', null, headers, { DPoP });
      return { status: answer.status, body: await answer.json() };
    } catch (error) {
      return { status: error.status };
    }
  };

  // What holds of every kind of client: the token reads, refreshes, is
  // described, is worth nothing elsewhere, and ends when it is revoked.
  const wholeLife = async (config, { tokens, lodged }, DPoP) => {
    assert.equal(tokens.claims().iss, sandbox.issuer);
    assert.deepEqual(tokens.authorization_details.map((detail) => detail.consent_id), [lodged[0].consent_id]);
    assert.equal((await read(config, tokens.access_token, DPoP)).body.data.length > 0, true);
    for (const agent of [agents.other, agents.none]) {
      const stolen = await new Api(sandbox, agent, tokens.access_token).get('/v1/accounts');
      assert.equal(stolen.status, 401);
    }
    const again = await oauth.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
    assert.notEqual(again.access_token, tokens.access_token);
    assert.equal(again.refresh_token ?? tokens.refresh_token, tokens.refresh_token, 'not rotated');
    assert.equal((await read(config, again.access_token, DPoP)).status, 200);
    const described = await oauth.tokenIntrospection(config, tokens.access_token);
    assert.equal(described.active, true);
    assert.equal(Object.keys(described.cnf).join(), DPoP ? 'jkt' : 'x5t#S256');
    await oauth.tokenRevocation(config, tokens.access_token);
    assert.equal((await read(config, tokens.access_token, DPoP)).status, 401);
    assert.equal((await oauth.tokenIntrospection(config, tokens.access_token)).active, false);
    await oauth.tokenRevocation(config, tokens.refresh_token);
    assert.equal((await read(config, again.access_token, DPoP)).status, 401, 'RFC 7009 §2.1');
  };

  for (const algorithm of ['ES256', 'PS256', 'EdDSA']) {
    test(`signs its assertions with ${algorithm}`, async () => {
      const config = await client(keys[algorithm]);
      await wholeLife(config, await grant(config));
    });
  }

  test('proves a key with DPoP, and shows no certificate at all', async () => {
    const config = await client(keys.ES256, { dpop_bound_access_tokens: true }, { agent: agents.none });
    const DPoP = oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair('ES256'));
    const granted = await grant(config, { DPoP });
    assert.equal(granted.tokens.token_type, 'dpop');
    await wholeLife(config, granted, DPoP);
    const stranger = oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair('ES256'));
    const { tokens } = await grant(config, { DPoP });
    assert.equal((await read(config, tokens.access_token, stranger)).status, 401);
  });

  test('uses a certificate that it signed itself', async () => {
    const config = await configuration('self-signed', oauth.TlsClientAuth(), agents.own);
    await wholeLife(config, await grant(config));
    const thief = await configuration('self-signed', oauth.TlsClientAuth(), agents.fintech);
    await assert.rejects(grant(thief), (error) => error.error === 'invalid_client');
  });

  test('signs what it asks, and verifies every answer (JAR, JARM, RFC 9701)', async () => {
    const more = { ...SIGNED, require_signed_request_object: true };
    const config = await client(keys.ES256, more);
    oauth.useJwtResponseMode(config);
    const granted = await grant(config, { sign: keys.ES256.private });
    assert.deepEqual([...granted.back.searchParams.keys()], ['response']);
    await wholeLife(config, granted);
    await assert.rejects(grant(config), (error) => error.error === 'invalid_request');
    await assert.rejects(
      grant(config, { sign: keys.PS256.private }),
      (error) => error.error === 'invalid_request_object',
    );
  });

  test('pays what the person saw, and nothing else (RFC 9396, RTS art. 5)', async () => {
    const config = await client(keys.ES256);
    const amount = { currency: 'EUR', amount: '12.30' };
    const details = [
      {
        type: 'payment_initiation',
        instructedAmount: amount,
        creditorName: 'Corner Bookshop',
        creditorAccount: { iban: 'DE02100100109307118603' },
      },
    ];
    const { tokens } = await grant(config, { details, scope: 'openid payments' });
    assert.deepEqual(tokens.authorization_details[0].instructedAmount, amount);
    const api = new Api(sandbox, agents.fintech, tokens.access_token);
    const order = (value) => ({
      institution_id: 'de-rheinbank',
      amount: { ...amount, amount: value },
      creditor: { name: 'Corner Bookshop' },
      creditor_account: { iban: 'DE02100100109307118603' },
      remittance: { unstructured: ['Invoice 2041'] },
      redirect_uri: RETURN,
    });
    const pay = (value) => api.post('/v1/payments', order(value), { 'idempotency-key': randomUUID() });
    const more = await pay('12.31');
    assert.deepEqual([more.status, more.body.code], [403, 'payment.not_granted']);
    const placed = await pay('12.30');
    assert.equal(placed.status, 201, JSON.stringify(placed.body));
  });

  test('lets the person decide in the app of the bank (CIBA)', async () => {
    const more = {
      grant_types: [CIBA, 'client_credentials'],
      backchannel_token_delivery_mode: 'poll',
      backchannel_authentication_request_signing_alg: 'ES256',
    };
    const config = await client(keys.ES256, more);
    const id = config.clientMetadata().client_id;
    const request = (hints) =>
      new jose.SignJWT({ scope: 'openid accounts', binding_message: 'Budget 7', ...hints })
        .setProtectedHeader({ alg: 'ES256', kid: 'judge-1' })
        .setIssuer(id)
        .setAudience(sandbox.issuer)
        .setIssuedAt()
        .setNotBefore('0s')
        .setExpirationTime('5m')
        .setJti(randomUUID())
        .sign(keys.ES256.private.key);
    const ask = async (hints) => oauth.initiateBackchannelAuthentication(config, { request: await request(hints) });
    await assert.rejects(ask({}), (error) => error.error === 'invalid_request');
    const started = await ask({ login_hint: 'anna' });
    const tokens = await oauth.pollBackchannelAuthenticationGrant(config, { ...started, interval: 1 });
    assert.equal(tokens.claims().iss, sandbox.issuer);
    assert.equal((await read(config, tokens.access_token)).status, 200);
  });

  test('registers itself, looks at it, and leaves (RFC 7591, RFC 7592)', async () => {
    const metadata = {
      client_name: 'Self-service Fintech',
      redirect_uris: [RETURN],
      grant_types: ALL_GRANTS,
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [keys.ES256.public] },
    };
    const options = { [oauth.customFetch]: via(agents.fintech) };
    const auth = oauth.PrivateKeyJwt(keys.ES256.private);
    const config = await oauth.dynamicClientRegistration(new URL(sandbox.issuer), metadata, auth, options);
    const { registration_client_uri: place, registration_access_token: token, client_id: id } = config.clientMetadata();
    const manage = (method) =>
      via(agents.fintech)(place, { method, headers: { authorization: `Bearer ${token}` } });
    assert.equal((await (await manage('GET')).json()).client_id, id);
    assert.equal((await manage('DELETE')).status, 204);
    assert.equal((await manage('GET')).status, 401);
  });
});
