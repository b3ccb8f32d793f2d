// The peer of the token benchmark: oidc-provider in its FAPI 2.0 profile, over
// TLS that asks for client certificates.
//
//   node bench/peer.mjs PORT CERTIFICATE KEY CLIENT_CA CLIENTS.json [SQLITE_FILE]
//
// With a file, what it keeps is on the disk before it answers, as ours is;
// without one it is in memory. Prints READY when it listens.

import { readFileSync } from 'node:fs';
import https from 'node:https';

import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const [port, certificate, key, clientCa, clients, file] = process.argv.slice(2);
const issuer = `https://localhost:${port}`;

// One table of JSON by model and id, statements prepared once.
const adapterOn = async (path) => {
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(path);
  database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 16000');
  database.exec('create table kept (model text, id text, payload text, expires_at int, primary key (model, id))');
  const put = database.prepare('insert or replace into kept values (?, ?, ?, ?)');
  const get = database.prepare('select payload from kept where model = ? and id = ? and expires_at > ?');
  const drop = database.prepare('delete from kept where model = ? and id = ?');
  return class Adapter {
    constructor(model) {
      this.model = model;
    }

    async upsert(id, payload, life) {
      put.run(this.model, id, JSON.stringify(payload), Date.now() + life * 1000);
    }

    async find(id) {
      const row = get.get(this.model, id, Date.now());
      return row && JSON.parse(row.payload);
    }

    async destroy(id) {
      drop.run(this.model, id);
    }
  };
};

const { privateKey } = await generateKeyPair('PS256', { extractable: true });
const provider = new Provider(issuer, {
  ...(file ? { adapter: await adapterOn(file) } : {}),
  clients: JSON.parse(readFileSync(clients, 'utf8')).map((client) => ({ ...client, response_types: [] })),
  jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'peer-1', alg: 'PS256', use: 'sig' }] },
  scopes: ['accounts'],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['ES256'],
    idTokenSigningAlgValues: ['PS256'],
    authorizationSigningAlgValues: ['PS256'],
  },
  clientDefaults: { id_token_signed_response_alg: 'PS256', authorization_signed_response_alg: 'PS256' },
  ttl: { ClientCredentials: 600 },
  features: {
    devInteractions: { enabled: false },
    fapi: { enabled: true, profile: '2.0' },
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
    },
  },
  cookies: { keys: ['of no use here'] },
});
provider.on('server_error', (_ctx, error) => console.error(error));
const tls = {
  cert: readFileSync(certificate),
  key: readFileSync(key),
  ca: readFileSync(clientCa),
  requestCert: true,
  rejectUnauthorized: false,
};
const server = https.createServer(tls, provider.callback());
server.keepAliveTimeout = 60_000;
server.listen(Number(port), '127.0.0.1', () => console.log('READY'));
process.on('SIGTERM', () => {
  server.closeAllConnections();
  server.close();
});
