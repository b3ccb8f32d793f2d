// An authorization server that is none of ours: oidc-provider, certified for FAPI 2.0, with the
// clients of a conformance kit, and a small resource behind it. Judged by our conformance suite,
// it shows where the suite cries wolf.

import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import https from 'node:https';
import { once } from 'node:events';

import * as jose from 'jose';
import Provider, { errors } from 'oidc-provider';

const ALGORITHMS = ['PS256', 'ES256'];
const thumbprint = (certificate) => createHash('sha256').update(certificate.raw).digest('base64url');

// Metadata of a kit as oidc-provider takes it.
function registered(client) {
  return {
    ...client,
    scope: 'openid offline_access accounts payments',
    authorization_details_types: ['account_access'],
  };
}

function provider(issuer, clients) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const signing = { ...privateKey.export({ format: 'jwk' }), kid: 'as-1', alg: 'PS256', use: 'sig' };
  const resource = `${issuer}/rs`;
  return new Provider(issuer, {
    clients: clients.map(registered),
    jwks: { keys: [signing] },
    responseTypes: ['code'],
    scopes: ['openid', 'offline_access', 'accounts', 'payments'],
    clientAuthMethods: ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
    clientDefaults: {
      id_token_signed_response_alg: 'PS256',
      authorization_signed_response_alg: 'PS256',
      introspection_signed_response_alg: 'PS256',
    },
    enabledJWA: {
      authorizationSigningAlgValues: ALGORITHMS,
      clientAuthSigningAlgValues: ALGORITHMS,
      dPoPSigningAlgValues: ALGORITHMS,
      idTokenSigningAlgValues: ['PS256'],
      introspectionSigningAlgValues: ['PS256'],
      requestObjectSigningAlgValues: ALGORITHMS,
      userinfoSigningAlgValues: ['PS256'],
    },
    clockTolerance: 10,
    ttl: {
      AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, Grant: 86_400, IdToken: 600,
      Interaction: 600, PushedAuthorizationRequest: 60, RefreshToken: 86_400, Session: 600,
    },
    rotateRefreshToken: false,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      devInteractions: { enabled: false },
      fapi: { enabled: true, profile: '2.0' },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => false },
      introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      jwtIntrospection: { enabled: true },
      jwtResponseModes: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, wanted) => {
          const certificate = ctx.socket.getPeerX509Certificate();
          return property === 'tls_client_auth_san_dns'
            && (certificate.subjectAltName ?? '').split(', ').includes(`DNS:${wanted}`);
        },
      },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
      requestObjects: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, _client, one) => one || resource,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, wanted) => {
          if (wanted !== resource) throw new errors.InvalidTarget();
          return { scope: 'accounts payments', accessTokenFormat: 'opaque', accessTokenTTL: 600 };
        },
      },
      revocation: { enabled: true },
      richAuthorizationRequests: {
        enabled: true,
        types: { account_access: { validate() {} } },
        authorizationDetailsForGrantSource: async () => undefined,
        authorizationDetailsForAccessToken: async () => undefined,
        authorizationDetailsForIntrospection: async () => undefined,
      },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    renderError: (ctx, out) => {
      ctx.type = 'json';
      ctx.body = out;
    },
  });
}

// The person: approves, or declines where the request says so.
async function interaction(as, issuer, ctx) {
  const { params } = await as.interactionDetails(ctx.req, ctx.res);
  if (ctx.get('x-psu') === 'deny') {
    const refusal = { error: 'access_denied', error_description: 'the person declined' };
    await as.interactionFinished(ctx.req, ctx.res, refusal, { mergeWithLastSubmission: false });
  } else {
    const grant = new as.Grant({ accountId: 'psu-1', clientId: params.client_id });
    grant.addOIDCScope(params.scope ?? 'openid');
    grant.addResourceScope(`${issuer}/rs`, (params.scope ?? '').replace('openid', '').trim());
    const given = { login: { accountId: 'psu-1' }, consent: { grantId: await grant.save() } };
    await as.interactionFinished(ctx.req, ctx.res, given, { mergeWithLastSubmission: true });
  }
  ctx.respond = false;
}

// The resource: whoever shows a token that is bound, and proves it.
async function resource(as, issuer, seen, ctx) {
  const refuse = (status, error) => {
    const scheme = /^dpop /i.test(ctx.get('authorization')) ? 'DPoP' : 'Bearer';
    ctx.status = status;
    ctx.set('WWW-Authenticate', error ? `${scheme} error="${error}"` : 'Bearer');
    ctx.body = { error: error ?? 'unauthorized' };
  };
  ctx.set('Cache-Control', 'no-store');
  ctx.set('x-fapi-interaction-id', ctx.get('x-fapi-interaction-id') || randomUUID());
  const shown = ctx.get('authorization').match(/^(bearer|dpop) (\S+)$/i);
  if (ctx.query.access_token) return refuse(400, 'invalid_request');
  if (!shown) return refuse(401);
  const [, scheme, text] = shown;
  const token = (await as.AccessToken.find(text)) ?? (await as.ClientCredentials.find(text));
  if (!token || token.isExpired) return refuse(401, 'invalid_token');
  if (token['x5t#S256']) {
    const certificate = ctx.socket.getPeerX509Certificate?.();
    if (!certificate || thumbprint(certificate) !== token['x5t#S256']) return refuse(401, 'invalid_token');
  }
  if (token.jkt) {
    try {
      const proof = ctx.get('dpop');
      if (!/^dpop$/i.test(scheme) || !proof || proof.includes(',')) throw new Error('no proof');
      const { payload, protectedHeader } = await jose.jwtVerify(proof, jose.EmbeddedJWK, {
        typ: 'dpop+jwt', algorithms: ALGORITHMS, maxTokenAge: '60s', clockTolerance: 15,
      });
      const fits = protectedHeader.jwk.d === undefined
        && (await jose.calculateJwkThumbprint(protectedHeader.jwk)) === token.jkt
        && payload.htm === ctx.method
        && payload.htu.split(/[?#]/)[0] === `${issuer}${ctx.path}`
        && payload.ath === createHash('sha256').update(text).digest('base64url')
        && typeof payload.jti === 'string'
        && !seen.has(payload.jti);
      if (!fits) throw new Error('another proof');
      seen.add(payload.jti);
    } catch {
      return refuse(401, 'invalid_dpop_proof');
    }
  }
  ctx.body = { data: [] };
}

// Starts it. `clients`: what a kit has to register; `ca`: who issues their certificates.
export async function startAuthorizationServer({ certificate, key, ca, clients }) {
  const server = https.createServer({
    cert: certificate, key, ca, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2',
    ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384',
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `https://localhost:${server.address().port}`;
  let as;
  try {
    as = provider(issuer, clients);
  } catch (error) {
    server.close();
    throw error;
  }
  const seen = new Set();
  as.use(async (ctx, next) => {
    if (ctx.path.startsWith('/interaction/')) await interaction(as, issuer, ctx);
    else if (ctx.path === '/rs/accounts') await resource(as, issuer, seen, ctx);
    else await next();
  });
  server.on('request', as.callback());
  return {
    issuer,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
