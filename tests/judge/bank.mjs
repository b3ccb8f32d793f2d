// A UK bank that is none of ours: oidc-provider, a certified FAPI 2.0
// authorization server, and behind it account information by Open Banking
// Read/Write 4.0. One port, client certificates asked for and not required, as
// browsers come here too. Everything that arrives is kept for the tests to see.

import { X509Certificate, createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import https from 'node:https';

import Provider from 'oidc-provider';

const AISP = '/open-banking/v4.0/aisp';
const ACR = 'urn:openbanking:psd2:sca';
const ORGANISATION = 'gateway.consentry.example';

const thumbprint = (der) => createHash('sha256').update(der).digest('base64url');
const now = () => new Date().toISOString();

const ACCOUNTS = [
  {
    AccountId: 'judge-1',
    Status: 'Enabled',
    StatusUpdateDateTime: '2024-01-31T08:00:00+00:00',
    Currency: 'GBP',
    AccountCategory: 'Personal',
    AccountTypeCode: 'CACC',
    Nickname: 'Bills',
    Account: [{ SchemeName: 'UK.OBIE.SortCodeAccountNumber', Identification: '80200110203345', Name: 'Ms Judge' }],
  },
];
const BALANCES = [
  {
    AccountId: 'judge-1',
    CreditDebitIndicator: 'Credit',
    Type: 'ITAV',
    DateTime: '2026-01-31T08:00:00+00:00',
    Amount: { Amount: '1230.00', Currency: 'GBP' },
  },
];
const transaction = (number) => ({
  AccountId: 'judge-1',
  TransactionId: `judge-t${number}`,
  CreditDebitIndicator: number % 2 ? 'Debit' : 'Credit',
  Status: 'BOOK',
  BookingDateTime: `2026-01-0${number}T10:43:07+00:00`,
  Amount: { Amount: `${number}.50`, Currency: 'GBP' },
  TransactionInformation: `Entry ${number}`,
});
const TRANSACTION_PAGES = [[transaction(5), transaction(4)], [transaction(3)], [transaction(2), transaction(1)]];

export class Bank {
  consents = new Map();
  seen = [];
  // What the customer does: approve or deny.
  psu = 'approve';
  // What the id_token says instead of the consent asked for.
  wrongIntent = undefined;
  #consentOfGrant = new Map();

  // Takes a port. Answers nothing before `open`, which needs to know the gateway.
  static async listen() {
    const bank = new Bank();
    bank.server = https.createServer({ requestCert: true, rejectUnauthorized: false });
    bank.server.listen(0, '127.0.0.1');
    await once(bank.server, 'listening');
    bank.issuer = `https://localhost:${bank.server.address().port}`;
    return bank;
  }

  // `clients`: client_id → how it authenticates; each also has its own callback.
  open(sandbox, clients) {
    this.server.setSecureContext({
      cert: sandbox.pki('server.pem'),
      key: sandbox.pki('server.key'),
      ca: sandbox.pki('root.pem'),
      minVersion: 'TLSv1.2',
    });
    const seal = new X509Certificate(sandbox.pki('gateway-qseal.pem'));
    const key = { ...seal.publicKey.export({ format: 'jwk' }), kid: thumbprint(seal.raw), use: 'sig' };
    this.gatewayThumbprint = thumbprint(new X509Certificate(sandbox.pki('gateway-qwac.pem')).raw);
    const registered = clients.map(({ id, method, callback }) => ({
      client_id: id,
      redirect_uris: [callback],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      token_endpoint_auth_method: method,
      ...(method === 'tls_client_auth' ? { tls_client_auth_san_dns: ORGANISATION } : {}),
      jwks: { keys: [key] },
      tls_client_certificate_bound_access_tokens: true,
      require_pushed_authorization_requests: true,
      id_token_signed_response_alg: 'PS256',
      scope: 'openid accounts',
    }));
    this.provider = this.#provider(registered);
    this.server.on('request', this.provider.callback());
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  #provider(clients) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const signing = { ...privateKey.export({ format: 'jwk' }), kid: 'bank-1', alg: 'PS256', use: 'sig' };
    const resources = `${this.issuer}${AISP}`;
    const provider = new Provider(this.issuer, {
      clients,
      jwks: { keys: [signing] },
      responseTypes: ['code'],
      scopes: ['openid', 'accounts'],
      claims: { openid: ['sub', 'openbanking_intent_id'], acr: null },
      acrValues: [ACR],
      clientAuthMethods: ['private_key_jwt', 'tls_client_auth'],
      clientDefaults: { id_token_signed_response_alg: 'PS256' },
      enabledJWA: {
        idTokenSigningAlgValues: ['PS256'],
        requestObjectSigningAlgValues: ['PS256', 'ES256'],
        clientAuthSigningAlgValues: ['PS256', 'ES256'],
      },
      ttl: {
        AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, Grant: 86_400, IdToken: 600,
        Interaction: 600, PushedAuthorizationRequest: 60, RefreshToken: 86_400, Session: 600,
      },
      findAccount: (ctx, id) => ({
        accountId: id,
        claims: () => ({ sub: id, openbanking_intent_id: this.#intentOf(ctx) }),
      }),
      features: {
        devInteractions: { enabled: false },
        fapi: { enabled: true, profile: '2.0' },
        claimsParameter: { enabled: true },
        clientCredentials: { enabled: true },
        pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
        requestObjects: { enabled: true, requireSignedRequestObject: true },
        revocation: { enabled: true },
        registration: { enabled: true },
        registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
        mTLS: {
          enabled: true,
          certificateBoundAccessTokens: true,
          tlsClientAuth: true,
          getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
          certificateAuthorized: (ctx) => ctx.socket.authorized,
          certificateSubjectMatches: (ctx, property, expected) => {
            const shown = ctx.socket.getPeerX509Certificate();
            if (property === 'tls_client_auth_san_dns') return shown.checkHost(expected) === expected;
            // Node writes a subject line by line, the most general name first (RFC 4514 the other way).
            return property === 'tls_client_auth_subject_dn' && shown.subject.split('\n').reverse().join(',') === expected;
          },
        },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => resources,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({ scope: 'accounts', accessTokenFormat: 'opaque', accessTokenTTL: 600 }),
        },
      },
      issueRefreshToken: async () => true,
      interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
      cookies: { keys: [randomUUID()] },
      renderError: (ctx, out) => {
        ctx.type = 'json';
        ctx.body = out;
      },
    });
    const notice = (event) => (_ctx, error) => this.seen.push({ event, error: error.message, detail: error.error_description });
    for (const event of ['authorization.error', 'grant.error', 'pushed_authorization_request.error', 'registration_create.error', 'registration_update.error', 'server_error']) {
      provider.on(event, notice(event));
    }
    provider.on('pushed_authorization_request.success', (ctx) => {
      const { params, client } = ctx.oidc;
      this.seen.push({ event: 'pushed', client: client.clientId, params: { ...params }, signed: 'request' in ctx.oidc.body });
    });
    provider.on('grant.success', (ctx) => {
      const { grant_type: type } = ctx.oidc.params;
      this.seen.push({
        event: 'granted', type, client: ctx.oidc.client.clientId,
        assertion: Boolean(ctx.oidc.body.client_assertion), verifier: Boolean(ctx.oidc.body.code_verifier),
      });
    });
    for (const event of ['registration_create.success', 'registration_update.success', 'registration_delete.success']) {
      provider.on(event, (_ctx, client) => this.seen.push({ event, client: client.clientId, metadata: client.metadata() }));
    }
    provider.use(async (ctx, next) => {
      if (ctx.path.startsWith('/interaction/')) return this.#interact(provider, ctx);
      if (ctx.path.startsWith(AISP)) return this.#serve(provider, ctx);
      return next();
    });
    return provider;
  }

  // Which consent an id_token is about: the one that the request named.
  #intentOf(ctx) {
    return this.wrongIntent ?? this.#consentOfGrant.get(ctx.oidc.entities.Grant?.jti);
  }

  // The customer, who needs no page.
  async #interact(provider, ctx) {
    ctx.respond = false;
    const { params } = await provider.interactionDetails(ctx.req, ctx.res);
    const intent = JSON.parse(params.claims ?? '{}').id_token?.openbanking_intent_id?.value;
    const consent = this.consents.get(intent);
    const finish = (result) => provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
    if (!consent || this.psu === 'deny') {
      if (consent) Object.assign(consent, { Status: 'RJCT', StatusUpdateDateTime: now() });
      return finish({ error: 'access_denied', error_description: 'the customer declined' });
    }
    const grant = new provider.Grant({ accountId: 'customer-1', clientId: params.client_id });
    grant.addOIDCScope('openid accounts');
    grant.addOIDCClaims(['openbanking_intent_id']);
    grant.addResourceScope(`${this.issuer}${AISP}`, 'accounts');
    const grantId = await grant.save();
    this.#consentOfGrant.set(grantId, intent);
    Object.assign(consent, { Status: 'AUTH', StatusUpdateDateTime: now() });
    return finish({ login: { accountId: 'customer-1', acr: ACR }, consent: { grantId } });
  }

  // Account information for whoever shows a token and the certificate it is bound to.
  async #serve(provider, ctx) {
    const path = ctx.path.slice(AISP.length);
    const interaction = ctx.get('x-fapi-interaction-id');
    ctx.set('x-fapi-interaction-id', interaction || randomUUID());
    const value = ctx.get('authorization').replace(/^Bearer /i, '');
    const client = await provider.ClientCredentials.find(value);
    const token = client ?? (await provider.AccessToken.find(value));
    const shown = ctx.socket.getPeerX509Certificate();
    const bound = token?.['x5t#S256'];
    this.seen.push({ event: 'called', method: ctx.method, path, interaction, bound, own: Boolean(client) });
    const refuse = (status, code) => {
      ctx.status = status;
      ctx.body = { Id: randomUUID(), Code: String(status), Message: code, Errors: [{ ErrorCode: code, Message: code }] };
    };
    if (!token || !shown || bound !== thumbprint(shown.raw)) return refuse(401, 'U014');
    if (path.startsWith('/account-access-consents')) {
      return client ? this.#consent(ctx, path.split('/')[2], refuse) : refuse(403, 'U013');
    }
    const consent = this.consents.get(this.#consentOfGrant.get(token.grantId));
    if (client || consent?.Status !== 'AUTH') return refuse(403, 'U013');
    const page = Number(ctx.query.page ?? 1);
    const lists = {
      '/accounts': ['Account', ACCOUNTS],
      '/accounts/judge-1/balances': ['Balance', BALANCES],
      '/accounts/judge-1/transactions': ['Transaction', TRANSACTION_PAGES[page - 1], TRANSACTION_PAGES.length],
    };
    const [name, list, pages = 1] = lists[path] ?? [];
    if (!list) return refuse(404, 'U011');
    const link = (number) => `${this.issuer}${ctx.path}${pages > 1 ? `?page=${number}` : ''}`;
    ctx.body = {
      Data: { [name]: list },
      Links: { Self: link(page), ...(page < pages ? { Next: link(page + 1) } : {}) },
      Meta: { TotalPages: pages },
    };
  }

  async #consent(ctx, id, refuse) {
    if (ctx.method === 'POST') {
      const chunks = [];
      for await (const chunk of ctx.req) chunks.push(chunk);
      const body = JSON.parse(Buffer.concat(chunks).toString());
      const consent = {
        ...body.Data, ConsentId: `judge-${randomUUID()}`, Status: 'AWAU', CreationDateTime: now(), StatusUpdateDateTime: now(),
      };
      this.consents.set(consent.ConsentId, consent);
      ctx.status = 201;
      return this.#view(ctx, consent);
    }
    const consent = this.consents.get(id);
    if (!consent) return refuse(404, 'U011');
    if (ctx.method === 'DELETE') {
      this.consents.delete(id);
      ctx.status = 204;
      return undefined;
    }
    return this.#view(ctx, consent);
  }

  #view(ctx, consent) {
    ctx.body = {
      Data: consent,
      Risk: {},
      Links: { Self: `${this.issuer}${AISP}/account-access-consents/${consent.ConsentId}` },
      Meta: { TotalPages: 1 },
    };
  }
}

// The profile by which the gateway knows this bank: one brand for each way in.
export function profileOf(bank, brands) {
  const brand = ({ id, client, auth, registration }) => `
[[brand]]
id = "${id}"
name = "Judge Bank (${auth})"
environment = "sandbox"
capabilities = ["accounts", "balances", "transactions"]
accounts_api = { use = "4.0", "4.0" = "${bank.issuer}${AISP}" }
authorization_server = { issuer = "${bank.issuer}", response_type = "code", signed_request_object = true, pushed_requests = true }
client_id = "${client}"
client_auth = "${auth}"
${registration ? `registration = ${registration}` : ''}
`;
  return `group = "Judge Bank"

[defaults]
dialect = "uk-open-banking"
region = "uk"
countries = ["GB"]
sca = ["oauth"]
signing = { method = "detached-jws", trust_anchor = "consentry.example" }
${brands.map(brand).join('')}`;
}
