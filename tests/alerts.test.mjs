// Alerts and their causes seen together: what a gateway as an operator runs it shows before and after something
// goes wrong, judged by the chart's own rules. Needs promtool (Debian's prometheus), and DATABASE_URL and REDIS_URL.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import * as oauth from 'openid-client';

import { complaintsAbout, openBrowser, openContext } from './judge/browser.mjs';
import { Api, RETURN, connections, discover, register, signingKey, via } from './judge/fintech.mjs';
import { Person } from './judge/person.mjs';
import { fires, promtool, samples } from './judge/promtool.mjs';
import { Relay } from './judge/relay.mjs';
import { freeBase } from './judge/sandbox.mjs';
import { startServed } from './judge/served.mjs';

const { DATABASE_URL: database, REDIS_URL: redis } = process.env;
const missing = Object.entries({ promtool, DATABASE_URL: database, REDIS_URL: redis });
const lacks = missing.filter(([, value]) => !value).map(([name]) => name);
if (lacks.length) console.log(`SKIPPED: alerts and their causes, as there is no ${lacks.join(', ')}`);

// Every alert that is tried here.
const TRIED = [
  'ConsentryAbsent', 'ConsentryApiErrorBudgetBurn', 'ConsentryApiLatencyBudgetBurn', 'ConsentryAuditUnsigned', 'ConsentryBackgroundFailing',
  'ConsentryBankDown', 'ConsentryBankRefusesUs', 'ConsentryCertificateExpires', 'ConsentryConfigDiffers',
  'ConsentryPaymentsNeedAttention', 'ConsentryRedisDown', 'ConsentryRefusals', 'ConsentryReloadFailing', 'ConsentrySchedulerLag',
  'ConsentryShadowDifferences', 'ConsentryShedding', 'ConsentryStoreDown', 'ConsentryWebhooksPending',
];

describe('alerts and their causes', { timeout: 480_000, skip: lacks.length > 0 }, () => {
  const names = [];
  let served;
  let store;
  let cache;
  let agent;
  let config;
  let calm;

  const psql = (...sql) => execFileSync(process.env.PSQL ?? 'psql', [database, '-qAt', ...sql.flatMap((one) => ['-c', one])], { stdio: 'pipe' });
  const scraped = async () => samples(await served.metrics());
  // What is shown as soon as it is so.
  const until = async (what, holds) => {
    const end = Date.now() + 90_000;
    for (;;) {
      const now = await scraped();
      if (holds(now)) return now;
      assert.ok(Date.now() < end, `in time: ${what}`);
    }
  };
  const sum = (page, part) => [...page].filter(([series]) => series.includes(part)).reduce((all, [, value]) => all + value, 0);
  // What stands in for others, with its connections.
  const standing = new Map();
  const server = async (answer, { port = 0, create = https.createServer, identity = 'banks/pki/server' } = {}) => {
    const [cert, key] = ['pem', 'key'].map((part) => readFileSync(served.at(`${identity}.${part}`)));
    const listening = create({ cert, key }, answer);
    standing.set(listening, new Set());
    listening.on('secureConnection', (socket) => standing.get(listening)?.add(socket));
    listening.listen(port, '127.0.0.1');
    await once(listening, 'listening');
    return listening;
  };
  const gone = async (listening) => {
    const closed = once(listening, 'close');
    listening.close();
    standing.get(listening).forEach((socket) => socket.destroy());
    standing.delete(listening);
    await closed;
  };
  // One that nobody else issues, good for a day.
  const makeCertificate = (name) => {
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost'];
    const more = ['subjectAltName=DNS:localhost', 'basicConstraints=critical,CA:FALSE'].flatMap((one) => ['-addext', one]);
    const files = ['-keyout', served.at(`${name}.key`), '-out', served.at(`${name}.pem`)];
    execFileSync('openssl', ['req', '-x509', ...made, ...more, ...files], { stdio: 'pipe' });
  };
  const token = () => oauth.clientCredentialsGrant(config, { scope: 'accounts' });
  const onlySoNow = (alert, now, options) => {
    assert.equal(fires(alert, calm, calm, options), false, `${alert} in peace`);
    assert.equal(fires(alert, calm, now, options), true, alert);
  };

  before(async () => {
    const url = new URL(database);
    [store, cache] = await Promise.all([
      Relay.to(url.hostname, url.port || 5432),
      Relay.to(new URL(redis).hostname, new URL(redis).port || 6379),
    ]);
    // The others are made by `consentry migrate`.
    const name = `consentry_alerts_${randomBytes(6).toString('hex')}`;
    names.push(...['global', 'eu', 'keys_eu', 'uk', 'keys_uk'].map((part) => `${name}_${part}`));
    names.push(name);
    psql(`create database ${name}`);
    Object.assign(url, { hostname: '127.0.0.1', port: store.port, pathname: `/${name}` });
    served = await startServed(`[database]\nurl = '${url}'\n[redis]\nurl = 'redis://127.0.0.1:${cache.port}'\n`);
    agent = connections(served, 'fintech');
    const key = await signingKey(served);
    const { body } = await register(served, agent, key.public);
    config = await discover(served, agent, body.client_id, oauth.PrivateKeyJwt(key.private));
    // So that each figure is there that calm gateways show.
    for (let calls = 0; calls < 20; calls++) await token();
    calm = await until('everything is counted', (page) =>
      sum(page, 'consentry_redis_up') === 1 && sum(page, 'consentry_store_up') > 0 && sum(page, 'consentry_audit_unsigned') >= 0
      && sum(page, 'consentry_certificate_expiry') > 0);
  });

  after(async () => {
    // A test that fails leaves its own behind.
    await Promise.all([...standing.keys()].map(gone));
    await agent?.close();
    await served?.stop();
    await Promise.all([store?.close(), cache?.close()]);
    if (names.length) psql(...names.map((one) => `drop database if exists ${one} with (force)`));
  });

  test('no gateway shows metrics', () => {
    assert.equal(fires('ConsentryAbsent', calm, calm), false);
    assert.equal(fires('ConsentryAbsent', calm, new Map()), true);
  });

  test('in peace nothing fires', () => {
    TRIED.forEach((alert) => assert.equal(fires(alert, calm, calm), false, alert));
  });

  test('Redis goes away', async () => {
    await cache.close();
    onlySoNow('ConsentryRedisDown', await until('Redis is away', (page) => page.get('consentry_redis_up') === 0));
    await cache.open();
    await until('Redis is there', (page) => page.get('consentry_redis_up') === 1);
  });

  test('the database is slow', async () => {
    store.delay = 80;
    for (let calls = 0; calls < 12; calls++) await token();
    store.delay = 0;
    onlySoNow('ConsentryApiLatencyBudgetBurn', await scraped());
  });

  test('the database goes away', async () => {
    const api = new Api(served, agent, (await token()).access_token);
    await store.close();
    const away = (page) => sum(page, 'consentry_store_up{') === 0 && sum(page, 'consentry_background_failures') > 3;
    await until('the database is away', away);
    const asked = Array.from({ length: 16 }, () => api.get('/v1/consents'));
    const failed = (await Promise.all(asked)).filter((answer) => answer.status >= 500);
    assert.ok(failed.length > 10, 'requests fail');
    const now = await until('failures are counted', away);
    onlySoNow('ConsentryStoreDown', now);
    onlySoNow('ConsentryBackgroundFailing', now);
    onlySoNow('ConsentryApiErrorBudgetBurn', now);
    await store.open();
    await until('the database is there', (page) => sum(page, 'consentry_store_up{') > 0 && [...page].every(([series, value]) => !series.startsWith('consentry_store_up') || value === 1));
  });

  test('somebody asks for what there is not, again and again', async () => {
    const fetch = via(agent);
    const most = (page) => Math.max(...[...page].filter(([series]) => series.startsWith('consentry_edge_refused_total')).map(([, value]) => value));
    const ask = async () => {
      for (let calls = 0; calls < 100; calls++) await (await fetch(`${served.api}/v1/no-such-thing`)).text();
    };
    let now = await scraped();
    // In a minute, as it goes on.
    while (most(now) < 3_300) {
      await Promise.all(Array.from({ length: 8 }, ask));
      now = await scraped();
    }
    onlySoNow('ConsentryRefusals', now);
  });

  test('it gets a fraction of the time that it needs, while strangers ask', async () => {
    const refused = 'consentry_edge_refused_total{reason="gateway.overloaded"}';
    const stranger = connections(served);
    const fetch = via(stranger);
    let over = false;
    const ask = async () => {
      // Who is sent away with an answer or without one asks again.
      while (!over) await fetch(`${served.issuer}/.well-known/openid-configuration`).then((answer) => answer.text()).catch(() => {});
    };
    // As a container that is throttled: most of the time it stands still.
    const throttle = async () => {
      while (!over) {
        served.signal('SIGSTOP');
        await pause(400);
        served.signal('SIGCONT');
        await pause(40);
      }
    };
    const all = [throttle(), ...Array.from({ length: 64 }, ask)];
    const late = (page) => page.get('consentry_scheduler_lag_seconds') > 0.1 && sum(page, refused) - sum(calm, refused) > 120;
    const now = await until('it is late, and sends strangers away', late).finally(() => (over = true));
    await Promise.all(all);
    await stranger.close();
    onlySoNow('ConsentrySchedulerLag', now);
    onlySoNow('ConsentryShedding', now);
    await until('it is in time', (page) => page.get('consentry_scheduler_lag_seconds') < 0.1);
  });

  test('a file that cannot be used is written', async () => {
    const profile = served.at('profiles/de-rheinbank.toml');
    const was = readFileSync(profile, 'utf8');
    writeFileSync(profile, 'no such thing');
    const now = await until('it is counted', (page) => sum(page, 'consentry_reload_failures_total{') > 0);
    // It happens once, and nobody writes it again.
    onlySoNow('ConsentryReloadFailing', now, { goesOn: false, minutes: 30 });
    writeFileSync(profile, was);
  });

  test('a bank refuses us, and then does not answer', async () => {
    const api = new Api(served, agent, (await oauth.clientCredentialsGrant(config, { scope: 'payments' })).access_token);
    const payee = { institution_id: 'de-rheinbank', name: 'Ben Yilmaz', account: { iban: 'DE42999100002000000018' } };
    const verify = async (times) => {
      for (let calls = 0; calls < times; calls++) {
        const answer = await api.post('/v1/payee-verifications', payee);
        assert.ok(answer.status < 500, `${answer.status} ${JSON.stringify(answer.body)}`);
      }
      return scraped();
    };
    served.banks.kill('SIGKILL');
    await once(served.banks, 'exit');
    // In its place somebody who takes an order without a word, and then knows nobody.
    let speechless = true;
    const stranger = await server((request, response) => {
      request.resume();
      if (speechless && request.method === 'POST') request.on('end', () => request.socket.destroy());
      else response.writeHead(401, { 'content-type': 'application/json' }).end('{}');
    }, { port: served.base + 6 });
    const order = await api.post('/v1/payments', {
      institution_id: 'de-rheinbank',
      amount: { amount: '12.34', currency: 'EUR' },
      creditor: { name: 'Ben Yilmaz' },
      creditor_account: { iban: 'DE42999100002000000018' },
      remittance: { unstructured: ['Invoice 4711'] },
      redirect_uri: RETURN,
    }, { 'idempotency-key': randomUUID() });
    assert.equal(order.status, 201, JSON.stringify(order.body));
    const browser = connections(served);
    await assert.rejects(new Person(browser, {}, {}).walk(order.body.authorization.href, RETURN), /ended with 502/);
    await browser.close();
    let flagged = await api.get(`/v1/payments/${order.body.id}`);
    for (const end = Date.now() + 30_000; flagged.body.attention?.code !== 'payment.unnamed_at_bank';) {
      assert.ok(Date.now() < end, JSON.stringify(flagged.body));
      flagged = await api.get(`/v1/payments/${order.body.id}`);
    }
    speechless = false;
    const refused = await verify(25);
    onlySoNow('ConsentryBankRefusesUs', refused);
    await gone(stranger);
    const away = await verify(8);
    assert.ok(sum(away, 'outcome="spared"') > 0, 'it is left alone in between');
    assert.equal(fires('ConsentryBankDown', calm, refused), false, 'who refuses is there');
    assert.equal(fires('ConsentryBankDown', refused, away), true);
  });

  // A gateway looks at these once a minute, so that they are brought about together.
  test('a certificate is about to end, nobody signs the audit log, webhooks wait, and so does a payment', async () => {
    const sql = 'begin; lock table audit_checkpoints in exclusive mode; select pg_sleep(600);';
    const region = Object.assign(new URL(database), { pathname: `/${names.at(-1)}_eu` });
    const locks = spawn(process.env.PSQL ?? 'psql', [region.href, '-c', sql]);
    const api = new Api(served, agent, (await token()).access_token);
    // It says its challenge back, and goes.
    const endpoint = await server(async (request, response) => {
      let text = '';
      for await (const chunk of request.setEncoding('utf8')) text += chunk;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ challenge: JSON.parse(text).data.challenge }));
    });
    const hook = await api.post('/v1/webhook-endpoints', { url: `https://localhost:${endpoint.address().port}/hooks` });
    assert.equal(hook.status, 201, JSON.stringify(hook.body));
    for (let at = hook; at.body.status !== 'enabled'; at = await api.get(`/v1/webhook-endpoints/${hook.body.id}`)) assert.ok(at.status < 300);
    await gone(endpoint);
    let sent = 0;
    const send = async () => {
      while (sent < 1_100) {
        const answer = await api.post(`/v1/webhook-endpoints/${hook.body.id}/test`, {});
        if (answer.status === 202) sent += 1;
        else assert.equal(answer.status, 429, JSON.stringify(answer.body));
      }
    };
    await Promise.all([send(), send(), send(), send()]);

    const shown = ['pem', 'key'].map((part) => [served.at(`banks/pki/server.${part}`), served.pki(`server.${part}`)]);
    makeCertificate('banks/pki/server');
    const soon = Date.now() / 1000 + 2 * 86_400;
    const ends = (page) => [...page].some(([series, at]) => series.startsWith('consentry_certificate_expiry') && at < soon);
    const unsigned = (page) => [...page].some(([series, of]) => series.startsWith('consentry_audit_unsigned') && of > 0);
    const waits = (page) => sum(page, 'consentry_webhooks_pending') > 1_000 && sum(page, 'consentry_payments_attention') > 0;
    const now = await until('all of it is seen', (page) => ends(page) && unsigned(page) && waits(page));
    onlySoNow('ConsentryCertificateExpires', now, { minutes: 90 });
    onlySoNow('ConsentryAuditUnsigned', now);
    onlySoNow('ConsentryWebhooksPending', now);
    onlySoNow('ConsentryPaymentsNeedAttention', now);
    shown.forEach(([file, was]) => writeFileSync(file, was));
    // A server does not notice that a client that sleeps is gone.
    const unlocked = once(locks, 'exit');
    psql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${names.at(-1)}_eu' and query like 'begin; lock%'`);
    await unlocked;
  });

  test('the console shows what waits, and an operator says what became of a payment', async () => {
    const browser = await openBrowser();
    try {
      const clientCertificates = [{ origin: served.console, ...served.operator('operator') }];
      const page = await (await openContext(browser, { clientCertificates })).newPage();
      await page.goto(`${served.console}/`);
      assert.deepEqual(await complaintsAbout(page), []);
      const section = (name) => page.getByRole('region', { name });
      const payments = section('Payments that a person must look after');
      const row = payments.getByRole('row').filter({ hasText: 'payment.unnamed_at_bank' });
      assert.match(await row.textContent(), /pay_eu_[\s\S]*de-rheinbank/);
      assert.match(await section('Banks, in the last ten minutes').textContent(), /de-rheinbank/);
      // More than a thousand wait, and the first of them may be under way.
      const failed = section('Deliveries of events that failed so far');
      for (const end = Date.now() + 30_000; await failed.getByText('webhook.test').count() === 0; await page.reload()) {
        assert.ok(Date.now() < end, await failed.textContent());
      }
      assert.match(await section('Regions').textContent(), /eu[\s\S]*1/);
      assert.match(await section('Certificates, by their end').textContent(), /client_authorities/);
      assert.match(await section('Requests that were refused, since the start').textContent(), /quota\.exceeded/);
      await row.getByRole('button', { name: /was not executed/ }).click();
      // The gateway takes it up with the client's event.
      for (const end = Date.now() + 30_000; await payments.getByText('None.').count() === 0; await page.reload()) {
        assert.ok(Date.now() < end, await payments.textContent());
      }
    } finally {
      await browser.close();
    }
  });

  test('one of two gateways has another configuration', async () => {
    const one = await scraped();
    await served.restart("[reads]\ndeadline = '7s'");
    const other = await scraped();
    assert.equal(fires('ConsentryConfigDiffers', one, one, { others: [one] }), false);
    assert.equal(fires('ConsentryConfigDiffers', one, one, { others: [other] }), true);
  });

  test('a shadow answers something else', async () => {
    makeCertificate('cell');
    const shadow = await server((request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    }, { create: http2.createSecureServer, identity: 'cell' });
    writeFileSync(served.at('cell.toml'), `
name = 'cell'
regions = ['eu']
listen = '127.0.0.1:${await freeBase()}'
certificate = 'cell.pem'
key = 'cell.key'
trust = 'cell.pem'
[shadow]
name = 'copy'
address = 'https://localhost:${shadow.address().port}'
certificates = ['cell.pem']
per_mille = 1000
`);
    await served.restart('', { CONSENTRY_REGIONS_CELL_FILE: served.at('cell.toml') });
    const before = await scraped();
    const api = new Api(served, agent, (await token()).access_token);
    assert.equal((await api.get('/v1/problems')).status, 200);
    const now = await until('the difference is noticed', (page) => sum(page, 'consentry_shadow_differences_total') > 0);
    assert.equal(fires('ConsentryShadowDifferences', before, before), false, 'in peace');
    await gone(shadow);
    assert.equal(fires('ConsentryShadowDifferences', before, now), true);
  });

  test('each alert is tried here, and its runbook says so', () => {
    const alerts = readFileSync(new URL('../charts/consentry/rules/alerts.yaml', import.meta.url), 'utf8')
      + readFileSync(new URL('../charts/consentry/rules/slo.yaml', import.meta.url), 'utf8');
    for (const rule of alerts.split('- alert: ').slice(1)) {
      const [alert, file] = [/^\w+/.exec(rule)[0], /RUNBOOKS\/([\w-]+\.md)/.exec(rule)?.[1]];
      // One of several with the same annotations.
      if (!file) continue;
      const text = readFileSync(new URL(`../docs/runbooks/${file}`, import.meta.url), 'utf8');
      assert.ok(TRIED.includes(alert) && text.includes('tests/alerts.test.mjs'), `${file}: ${alert}`);
    }
  });
});
