// Banks of the Berlin Group, STET and PolishAPI that are none of ours, as small as an
// authorisation and a list of accounts need them, and a TPP for the Polish model
// bank. Signatures are verified by http-signature, http-message-signatures and jose;
// bodies are held against the published file of PolishAPI, where it lies beside the
// checkout.

import { X509Certificate, createHash, createPrivateKey, createPublicKey, randomUUID, verify } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import Ajv from 'ajv';
import { httpbis } from 'http-message-signatures';
import httpSignature from 'http-signature';
import { FlattenedSign, createLocalJWKSet, flattenedVerify, jwtVerify } from 'jose';
import { parse } from 'yaml';

const published = path.resolve(import.meta.dirname, '../../../shared/specs/polishapi/PolishAPI-ver2_1_1.yaml');

// Why bodies are not held against the published file; undefined if they are.
export const unpublished = existsSync(published)
  ? undefined
  : 'SKIPPED: the file of PolishAPI is not beside the checkout (../shared/specs/polishapi)';

// What is wrong with `value` as one of the file's definitions; nothing, or not looked at, is null.
export const judged = (() => {
  if (unpublished) return () => null;
  const { definitions } = parse(readFileSync(published, 'utf8'));
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema({ $id: 'https://polishapi.test/', definitions });
  return (name, value) => {
    const check = ajv.getSchema(`https://polishapi.test/#/definitions/${name}`);
    return check(value) ? null : check.errors;
  };
})();

const sealOf = (sandbox) => {
  const certificate = new X509Certificate(sandbox.pki('gateway-qseal.pem'));
  const fingerprint = createHash('sha256').update(certificate.raw);
  return { certificate, hex: fingerprint.copy().digest('hex'), thumbprint: fingerprint.digest('base64url') };
};

class JudgeBank {
  seen = [];

  async listen(sandbox) {
    this.seal = sealOf(sandbox);
    this.server = https.createServer(
      {
        cert: sandbox.pki('server.pem'),
        key: sandbox.pki('server.key'),
        ca: sandbox.pki('root.pem'),
        requestCert: true,
        rejectUnauthorized: false,
      },
      (request, response) => void this.#serve(request, response),
    );
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.origin = `https://localhost:${this.server.address().port}`;
    return this;
  }

  // Of an authorization server here.
  metadata() {
    return {
      issuer: this.origin,
      authorization_endpoint: `${this.origin}/authorize`,
      token_endpoint: `${this.origin}/token`,
    };
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    try {
      await this.answer(request, Buffer.concat(chunks), response);
    } catch (error) {
      this.seen.push({ path: request.url, error: String(error) });
      response.writeHead(500).end();
    }
  }
}

// A profile of the one bank at this origin; `lines` are what is its own.
const profileOf = ({ id, dialect, region, country, sca }, lines) => `group = "Judge Bank"
[[brand]]
id = "${id}"
name = "Judge Bank"
dialect = "${dialect}"
region = "${region}"
countries = ["${country}"]
environment = "sandbox"
capabilities = ["accounts"]
sca = ["${sca}"]
client_auth = "certificate"
${lines.join('\n')}
`;

const json = (response, value, headers = {}) =>
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));

// A UK bank that registers: all it does is look at the request.
export class RegisteringBank extends JudgeBank {
  profile() {
    const bank = { id: 'gb-judge-registrar', dialect: 'uk-open-banking', region: 'uk', country: 'GB', sca: 'oauth' };
    return profileOf(bank, [
      'client_id = "deployment"',
      'financial_id = "0015800000judge"',
      `accounts_api = { use = "4.0", "4.0" = "${this.origin}/aisp" }`,
      `authorization_server = { issuer = "${this.origin}", response_type = "code id_token" }`,
      'registration = { automatic = true, version = "3.2" }',
    ]);
  }

  // What is signed is verified with the keys of the seal and of the sandbox's directory.
  async open(sandbox) {
    await this.listen(sandbox);
    const keyOf = (key, kid) => ({ ...key.export({ format: 'jwk' }), kid });
    const directory = createPublicKey(createPrivateKey(sandbox.pki('directory.key')));
    this.ours = createLocalJWKSet({ keys: [keyOf(this.seal.certificate.publicKey, this.seal.thumbprint)] });
    this.directory = createLocalJWKSet({ keys: [keyOf(directory, 'directory')] });
    return this;
  }

  async answer(request, body, response) {
    if (request.url !== '/register') {
      return json(response, { ...this.metadata(), registration_endpoint: `${this.origin}/register` });
    }
    const { payload, protectedHeader } = await jwtVerify(body.toString(), this.ours, {
      audience: '0015800000judge', issuer: 'consentrysandbox', algorithms: ['PS256'],
      requiredClaims: ['iat', 'exp', 'jti'], maxTokenAge: '60s',
    });
    const statement = await jwtVerify(payload.software_statement, this.directory, { requiredClaims: ['iat'] });
    const shown = request.socket.getPeerX509Certificate();
    this.seen.push({
      media: request.headers['content-type'], header: protectedHeader, claims: payload,
      statement: statement.payload, subject: shown.subject,
    });
    response.writeHead(201, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ client_id: 'judged-1', redirect_uris: payload.redirect_uris }));
  }
}

// A bank of the Berlin Group that wants signatures of the one or of the other kind.
export class BerlinBank extends JudgeBank {
  constructor(signing) {
    super();
    this.signing = signing;
  }

  profile() {
    return profileOf({ id: 'de-judge', dialect: 'berlin-group', region: 'eu', country: 'DE', sca: 'redirect' }, [
      `signing = { method = "${this.signing}"${this.signing === 'message-signature' ? ', tag = "psd2"' : ''} }`,
      `accounts_api = { use = "1.3", "1.3" = "${this.origin}/v1" }`,
    ]);
  }

  async answer(request, body, response) {
    const url = new URL(request.url, this.origin);
    if (url.pathname === '/login') {
      return response.writeHead(302, { location: url.searchParams.get('back') }).end();
    }
    const seen = { path: url.pathname, signed: await this.#signed(request, body) };
    this.seen.push(seen);
    const certificate = Buffer.from(request.headers['tpp-signature-certificate'], 'base64');
    seen.certificate = certificate.equals(this.seal.certificate.raw);
    switch (`${request.method} ${url.pathname}`) {
      case 'POST /v1/consents': {
        const login = new URL('/login', this.origin);
        login.searchParams.set('back', request.headers['tpp-redirect-uri']);
        response.writeHead(201, { 'content-type': 'application/json', 'aspsp-sca-approach': 'REDIRECT' });
        return response.end(JSON.stringify({
          consentStatus: 'received', consentId: 'c1', _links: { scaRedirect: { href: login.href } },
        }));
      }
      case 'GET /v1/consents/c1':
      case 'GET /v1/consents/c1/status':
        return json(response, { consentStatus: 'valid' });
      case 'GET /v1/accounts':
        return json(response, {
          accounts: [{ resourceId: 'a1', iban: 'DE89370400440532013000', currency: 'EUR', name: 'Konto' }],
        });
      default:
        return response.writeHead(404).end();
    }
  }

  // Whether the signature is right, also after a change of the method or of a header.
  async #signed(request, body) {
    const key = this.seal.certificate.publicKey;
    const sha256 = createHash('sha256').update(body).digest('base64');
    if (this.signing === 'digest-signature') {
      const headers = ['digest', 'x-request-id', ...(request.headers['tpp-redirect-uri'] ? ['tpp-redirect-uri'] : [])];
      const parsed = httpSignature.parseRequest(request, { authorizationHeaderName: 'signature', headers });
      const pem = key.export({ type: 'spki', format: 'pem' });
      const altered = { ...parsed, signingString: parsed.signingString.replace('x-request-id', 'x-request') };
      return {
        keyId: parsed.keyId,
        digest: request.headers.digest === `SHA-256=${sha256}`,
        right: httpSignature.verifySignature(parsed, pem),
        altered: httpSignature.verifySignature(altered, pem),
      };
    }
    let named;
    const check = (method) => httpbis.verifyMessage(
      {
        requiredParams: ['created', 'keyid', 'alg', 'tag'],
        requiredFields: ['@method', '@target-uri', 'content-digest', 'x-request-id'],
        keyLookup: async (parameters) => {
          named = parameters;
          return {
            id: parameters.keyid, algs: ['rsa-v1_5-sha256'],
            verify: async (data, signature) => verify('sha256', data, key, signature),
          };
        },
      },
      { method, url: new URL(request.url, this.origin), headers: request.headers },
    );
    const [right, altered] = [await check(request.method), await check('PATCH').catch(() => false)];
    return {
      keyId: named.keyid, tag: named.tag, right, altered,
      digest: request.headers['content-digest'] === `sha-256=:${sha256}:`,
    };
  }
}

export class StetBank extends JudgeBank {
  profile() {
    return profileOf({ id: 'fr-judge', dialect: 'stet', region: 'eu', country: 'FR', sca: 'oauth' }, [
      'client_id = "PSDFR-ACPR-1"',
      'signing = { method = "digest-signature-by-url", key_url = "https://tpp.example/qseal_{sha256}.pem" }',
      `accounts_api = { use = "1.4", "1.4" = "${this.origin}/psd2/v1.4" }`,
      `authorization_server = { issuer = "${this.origin}", response_type = "code" }`,
    ]);
  }

  answer(request, body, response) {
    const url = new URL(request.url, this.origin);
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json(response, this.metadata());
      case '/authorize': {
        const back = new URL(url.searchParams.get('redirect_uri'));
        back.searchParams.set('code', 'code-1');
        back.searchParams.set('state', url.searchParams.get('state'));
        this.seen.push({ path: url.pathname, scope: url.searchParams.get('scope') });
        return response.writeHead(302, { location: back.href }).end();
      }
      case '/token':
        return json(response, { access_token: 'token-1', token_type: 'Bearer', expires_in: 300 });
      case '/psd2/v1.4/accounts': {
        const parsed = httpSignature.parseRequest(request, {
          authorizationHeaderName: 'signature',
          headers: ['(request-target)', 'date', 'digest', 'x-request-id', 'psu-ip-address'],
        });
        const key = this.seal.certificate.publicKey.export({ type: 'spki', format: 'pem' });
        const digest = `SHA-256=${createHash('sha256').update(body).digest('base64')}`;
        const altered = { ...parsed, signingString: parsed.signingString.replace('psu-', 'psu--') };
        this.seen.push({
          path: url.pathname,
          keyId: parsed.keyId,
          right: httpSignature.verifySignature(parsed, key) && request.headers.digest === digest,
          wrong: httpSignature.verifySignature(altered, key),
          certificate: request.headers['tpp-signature-certificate'],
        });
        return json(response, {
          accounts: [{ resourceId: 'a1', name: 'Compte', accountId: { iban: 'FR7699902000010001000001730' }, cashAccountType: 'CACC' }],
          _links: { self: { href: '/psd2/v1.4/accounts' } },
        });
      }
      default:
        return response.writeHead(404).end();
    }
  }
}

export class PolishBank extends JudgeBank {
  profile() {
    return profileOf({ id: 'pl-judge', dialect: 'polish-api', region: 'eu', country: 'PL', sca: 'redirect' }, [
      'client_id = "PSDPL-KNF-1"',
      'signing = { method = "body-jws" }',
      `accounts_api = { use = "2.1", "2.1" = "${this.origin}/v2_1_1.1" }`,
    ]);
  }

  async answer(request, body, response) {
    const url = new URL(request.url, this.origin);
    if (url.pathname === '/login') {
      const back = new URL(url.searchParams.get('back'));
      back.searchParams.set('code', 'code-1');
      back.searchParams.set('state', url.searchParams.get('state'));
      return response.writeHead(302, { location: back.href }).end();
    }
    const operation = url.pathname.split('/').at(-1);
    const asked = JSON.parse(body);
    const names = { authorize: 'AuthorizeRequest', token: 'TokenRequest', getAccounts: 'AccountsRequest' };
    const [header, payload, signature] = request.headers['x-jws-signature'].split('.');
    const jws = (bytes) => ({ protected: header, payload: bytes.toString('base64url'), signature });
    const verify = (bytes) => flattenedVerify(jws(bytes), this.seal.certificate.publicKey, { algorithms: ['PS256'] });
    const { protectedHeader } = await verify(body);
    this.seen.push({
      path: url.pathname,
      detached: payload === '',
      named: protectedHeader['x5t#S256'] === this.seal.thumbprint,
      altered: await verify(Buffer.concat([body, Buffer.from(' ')])).then(() => 'taken', () => 'refused'),
      id: asked.requestHeader.requestId === request.headers['x-request-id'],
      problems: judged(names[operation], asked),
    });
    const responseHeader = { requestId: request.headers['x-request-id'], isCallback: false };
    switch (operation) {
      case 'authorize': {
        const login = new URL('/login', this.origin);
        login.searchParams.set('back', asked.redirect_uri);
        login.searchParams.set('state', asked.state);
        return json(response, { responseHeader, aspspRedirectUri: login.href });
      }
      case 'token':
        return json(response, {
          responseHeader, access_token: 'token-1', token_type: 'Bearer', expires_in: '300', scope: 'ais',
          scope_details: { consentId: 'c', scopeTimeLimit: '2099-01-01T00:00:00Z', throttlingPolicy: 'psd2Regulatory' },
        });
      case 'getAccounts': {
        const account = { accountNumber: '82999010060000000000010017', accountTypeName: 'Konto', accountType: { code: 'CACC' } };
        const packed = gzipSync(JSON.stringify({ responseHeader, accounts: [account] }));
        return response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(packed);
      }
      default:
        return response.writeHead(404).end();
    }
  }
}

// The gateway's certificates in hands that are not the gateway's.
export class PolishTpp {
  constructor(sandbox, bank, callback) {
    Object.assign(this, { bank, callback, seal: sealOf(sandbox), clientId: 'consentry-gateway' });
    this.key = createPrivateKey(sandbox.pki('gateway-qseal.key'));
    const ca = sandbox.pki('root.pem');
    this.agent = new https.Agent({ ca, cert: sandbox.pki('gateway-qwac.pem'), key: sandbox.pki('gateway-qwac.key') });
    this.browser = new https.Agent({ ca });
  }

  close() {
    this.agent.destroy();
    this.browser.destroy();
  }

  async ask(service, operation, members, token) {
    // A UUID of version 1, as the standard wants.
    const id = randomUUID().replace(/^(.{14})4/, '$11');
    const requestHeader = {
      requestId: id, sendDate: new Date().toISOString(), tppId: this.clientId,
      ipAddress: '192.0.2.1', ...(token && { token, isDirectPsu: true }),
    };
    const body = JSON.stringify(operation === 'deleteConsent' ? members : { requestHeader, ...members });
    const jws = await new FlattenedSign(Buffer.from(body))
      .setProtectedHeader({ alg: 'PS256', kid: this.seal.thumbprint, 'x5t#S256': this.seal.thumbprint })
      .sign(this.key);
    const headers = {
      'content-type': 'application/json', 'accept-encoding': 'gzip', 'accept-language': 'pl', 'accept-charset': 'utf-8',
      'x-request-id': id, 'x-jws-signature': `${jws.protected}..${jws.signature}`,
      ...(token && { authorization: `Bearer ${token}` }),
    };
    const url = `${this.bank}/v2_1_1.1/${service}/v2_1_1.1/${operation}`;
    return this.#send(url, { method: 'POST', agent: this.agent, headers }, body);
  }

  // Follows the customer, who says yes to everything, to the code.
  async code(page) {
    const { headers } = await this.#send(page, { agent: this.browser });
    return new URL(headers.location).searchParams.get('code');
  }

  async #send(url, options, body = '') {
    const request = https.request(url, options).end(body);
    const [response] = await once(request, 'response');
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    return { status: response.statusCode, headers: response.headers, body: text && JSON.parse(text) };
  }
}
