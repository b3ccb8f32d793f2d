// Webhooks judged by others: the reference library of Standard Webhooks for the shared
// secret (v1), Node's own Ed25519 for the gateway's key (v1a), ajv for what is delivered.

import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';

import { Ajv2020 } from 'ajv/dist/2020.js';
import * as oauth from 'openid-client';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';

import { Api, connections, discover, via } from './judge/fintech.mjs';
import { startSandbox } from './judge/sandbox.mjs';

// Receives webhooks; `next` is the one after those that were asked for.
async function receive(sandbox) {
  const waiting = [];
  const arrived = [];
  const settle = () => {
    while (waiting.length > 0 && arrived.length > 0) waiting.shift()(arrived.shift());
  };
  const server = https.createServer({ cert: sandbox.pki('server.pem'), key: sandbox.pki('server.key') }, (request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      arrived.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
      const challenge = JSON.parse(arrived.at(-1).body).data?.challenge;
      if (challenge === undefined) response.writeHead(204).end();
      else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ challenge }));
      settle();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://localhost:${server.address().port}/hooks`,
    next: () => new Promise((resolve) => { waiting.push(resolve); settle(); }),
    stop: () => { server.closeAllConnections(); server.close(); },
  };
}

// The API as the demo fintech has it.
async function demoFintech(sandbox, agent) {
  const config = await discover(sandbox, agent, 'demo-fintech', oauth.TlsClientAuth());
  const token = (await oauth.clientCredentialsGrant(config, { scope: 'accounts' })).access_token;
  return new Api(sandbox, agent, token);
}

describe('webhooks', { timeout: 60_000 }, () => {
  let sandbox;
  let agent;
  let api;

  before(async () => {
    sandbox = await startSandbox();
    agent = connections(sandbox, 'fintech');
    api = await demoFintech(sandbox, agent);
  });

  after(async () => {
    await agent?.close();
    await sandbox?.stop();
  });

  // An endpoint, what arrives there, and a way to have a test sent to it.
  const endpoint = async (members) => {
    const receiver = await receive(sandbox);
    const added = await api.post('/v1/webhook-endpoints', { url: receiver.url, ...members });
    assert.equal(added.status, 201);
    const path = `/v1/webhook-endpoints/${added.body.id}`;
    return {
      ...added.body,
      rotate: async () => (await api.post(`${path}/rotate-secret`, {})).body.secret,
      tested: async () => {
        assert.equal((await api.post(`${path}/test`, {})).status, 202);
        return receiver.next();
      },
      remove: async () => {
        await api.delete(path);
        receiver.stop();
      },
    };
  };

  test('the reference library takes what a secret signs, before, in and after its rotation', async () => {
    const hook = await endpoint({ signature: 'v1' });
    const { headers, body } = await hook.tested();
    assert.equal(new Webhook(hook.secret).verify(body, headers).type, 'webhook.test');
    assert.throws(() => new Webhook(hook.secret).verify(`${body} `, headers), WebhookVerificationError);
    const second = await hook.rotate();
    const both = await hook.tested();
    for (const secret of [hook.secret, second]) new Webhook(secret).verify(both.body, both.headers);
    assert.throws(() => new Webhook(second).verify(body, headers), WebhookVerificationError);
    await hook.remove();
  });

  test('Node verifies what the key of the well-known address signs', async () => {
    const hook = await endpoint({});
    const { headers, body } = await hook.tested();
    const response = await via(agent)(`${sandbox.issuer}/.well-known/webhook-keys.json`);
    const { keys } = await response.json();
    const [version, signature] = headers['webhook-signature'].split(',');
    assert.equal(version, 'v1a');
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    const holds = (content) => keys.some((jwk) =>
      verify(null, Buffer.from(content), createPublicKey({ key: jwk, format: 'jwk' }), Buffer.from(signature, 'base64')));
    assert.ok(holds(signed));
    assert.ok(!holds(`${signed} `));
    await hook.remove();
  });

  test('what is delivered fits the webhooks of the OpenAPI document', async () => {
    const document = JSON.parse(await readFile(new URL('../openapi/consentry.json', import.meta.url), 'utf8'));
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema({ $id: 'openapi', ...document });
    const hook = await endpoint({});
    await api.lodge(['gb-albion-bank']);
    await hook.tested().then((first) => {
      const event = JSON.parse(first.body);
      const place = `openapi#/webhooks/${event.type}/post/requestBody/content/application~1json/schema`;
      assert.ok(ajv.validate({ $ref: place }, event), JSON.stringify(ajv.errors));
      const { sequence, ...less } = event;
      assert.ok(sequence !== undefined && !ajv.validate({ $ref: place }, less));
    });
    await hook.remove();
  });

  test('a sandbox that was started so challenges a new endpoint first', async (t) => {
    const asking = await startSandbox(['--webhook-challenge']);
    t.after(() => asking.stop());
    const connected = connections(asking, 'fintech');
    t.after(() => connected.close());
    const fintech = await demoFintech(asking, connected);
    const receiver = await receive(asking);
    t.after(() => receiver.stop());
    const added = await fintech.post('/v1/webhook-endpoints', { url: receiver.url });
    assert.equal(added.body.status, 'pending');
    assert.equal(JSON.parse((await receiver.next()).body).type, 'webhook.challenge');
    const verified = await fintech.post(`/v1/webhook-endpoints/${added.body.id}/verify`, {});
    assert.deepEqual([verified.status, verified.body.status], [200, 'enabled']);
  });
});
