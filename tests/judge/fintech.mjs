// A fintech as an outsider would build one: openid-client for OAuth, plain
// requests with a client certificate for the API.

import { createPrivateKey, createPublicKey, randomUUID } from 'node:crypto';

import * as jose from 'jose';
import * as oauth from 'openid-client';
import { Agent, fetch } from 'undici';

export const RETURN = 'https://fintech.consentry.example/return';

// Connections that trust the sandbox's root, with or without a certificate of it.
export function connections(sandbox, name) {
  const identity = name ? { cert: sandbox.pki(`${name}.pem`), key: sandbox.pki(`${name}.key`) } : {};
  return new Agent({ connect: { ca: sandbox.pki('root.pem'), ...identity } });
}

export function via(agent) {
  return (url, options) => fetch(url, { ...options, dispatcher: agent });
}

// The fintech's key as openid-client wants it, and its public half.
export async function signingKey(sandbox, name = 'fintech') {
  const key = createPrivateKey(sandbox.pki(`${name}.key`));
  const pkcs8 = key.export({ type: 'pkcs8', format: 'pem' });
  return {
    private: { key: await jose.importPKCS8(pkcs8, 'ES256'), kid: 'judge-1' },
    public: { ...createPublicKey(key).export({ format: 'jwk' }), kid: 'judge-1', alg: 'ES256', use: 'sig' },
  };
}

// Registers by RFC 7591 over the certificate of the connection.
export async function register(sandbox, agent, jwk, more = {}) {
  const response = await fetch(`${sandbox.api}/oauth/register`, {
    method: 'POST',
    dispatcher: agent,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'Judge Fintech',
      redirect_uris: [RETURN],
      grant_types: ['authorization_code', 'client_credentials'],
      response_types: ['code'],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [jwk] },
      scope: 'openid accounts payments',
      ...more,
    }),
  });
  return { status: response.status, body: await response.json() };
}

export async function discover(sandbox, agent, clientId, auth) {
  const metadata = { use_mtls_endpoint_aliases: true, id_token_signed_response_alg: 'PS256' };
  return oauth.discovery(new URL(sandbox.issuer), clientId, metadata, auth, { [oauth.customFetch]: via(agent) });
}

export class Api {
  constructor(sandbox, agent, token) {
    Object.assign(this, { origin: sandbox.api, agent, token });
  }

  async get(path) {
    return this.#send('GET', path);
  }

  async post(path, body, headers = {}) {
    return this.#send('POST', path, { 'content-type': 'application/json', ...headers }, JSON.stringify(body));
  }

  async delete(path) {
    return this.#send('DELETE', path);
  }

  async #send(method, path, headers = {}, body = undefined) {
    const response = await fetch(this.origin + path, {
      method,
      dispatcher: this.agent,
      headers: { authorization: `Bearer ${this.token}`, 'psu-ip-address': '192.0.2.7', ...headers },
      body,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : undefined };
  }

  // Lodges one consent for each bank; the ids.
  async lodge(banks, permissions = ['READ_ACCOUNTS_DETAIL', 'READ_BALANCES', 'READ_TRANSACTIONS_DETAIL']) {
    const ids = [];
    for (const bank of banks) {
      const where = bank.length === 2 ? { region: bank } : { institution_id: bank };
      const body = { type: 'ACCOUNT_INFORMATION', ...where, permissions };
      const answer = await this.post('/v1/consents', body, { 'idempotency-key': randomUUID() });
      if (answer.status !== 201) throw new Error(`${bank}: ${answer.status} ${JSON.stringify(answer.body)}`);
      ids.push(answer.body.id);
    }
    return ids;
  }
}

// Pushes an authorization request for consents; what is needed to finish it.
export async function push(config, consents, more = {}) {
  const verifier = oauth.randomPKCECodeVerifier();
  const expected = { pkceCodeVerifier: verifier, expectedState: oauth.randomState() };
  const scope = more.scope ?? 'accounts';
  const openid = scope.split(' ').includes('openid');
  if (openid) Object.assign(expected, { expectedNonce: oauth.randomNonce(), idTokenExpected: true });
  const details = consents.map((id) => ({ type: 'account_access', consent_id: id }));
  details.push(...(more.details ?? []));
  const url = await oauth.buildAuthorizationUrlWithPAR(config, {
    redirect_uri: more.redirectUri ?? RETURN,
    scope,
    state: expected.expectedState,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...(openid ? { nonce: expected.expectedNonce } : {}),
    ...(details.length ? { authorization_details: JSON.stringify(details) } : {}),
    ...(more.locales ? { ui_locales: more.locales } : {}),
  });
  return { url, expected };
}
