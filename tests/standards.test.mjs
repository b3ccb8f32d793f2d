// The Berlin Group, STET, PolishAPI and UK registration, seen from the other side: what the gateway
// sends to banks that are none of ours, and what the Polish model bank answers to a TPP that is
// none of ours.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { BerlinBank, PolishBank, PolishTpp, RegisteringBank, StetBank, judged, unpublished } from './judge/standards.mjs';
import { binary, startSandbox } from './judge/sandbox.mjs';

if (unpublished) console.error(unpublished);

describe('banks of other standards', { timeout: 180_000 }, () => {
  let sandbox;

  before(async () => {
    sandbox = await startSandbox(['--auto-approve']);
  });

  after(() => sandbox?.stop());

  const run = (args) => new Promise((resolve) => {
    execFile(binary, args, (error, stdout, stderr) => resolve({ stderr, ...JSON.parse(stdout || '{}') }));
  });
  const probe = (bank, id) => {
    const file = path.join(sandbox.dataDir, '..', `${id}.toml`);
    writeFileSync(file, bank.profile());
    const who = ['--data-dir', sandbox.dataDir, '--redirect-uri', `${sandbox.issuer}/callback/${id}`];
    return run(['banks', 'probe', '--profile', file, '--bank', id, ...who, '--json']);
  };

  test('a STET bank finds the signature right, and the certificate by its address', async () => {
    const bank = await new StetBank().listen(sandbox);
    try {
      const report = await probe(bank, 'fr-judge');
      assert.equal(report.authorised, true, JSON.stringify([report, bank.seen]));
      const steps = report.steps.map(({ step }) => step);
      assert.deepEqual(steps, ['discovery', 'consent', 'browser', 'callback', 'token', 'accounts']);
      const [asked, accounts] = bank.seen;
      assert.equal(asked.scope, 'aisp');
      assert.deepEqual([accounts.right, accounts.wrong, accounts.certificate], [true, false, undefined]);
      assert.equal(accounts.keyId, `https://tpp.example/qseal_${bank.seal.hex}.pem`);
    } finally {
      await bank.close();
    }
  });

  for (const [signing, tag] of [['digest-signature', undefined], ['message-signature', 'psd2']]) {
    test(`a Berlin Group bank finds every ${signing} right, and the certificate with it`, async () => {
      const bank = await new BerlinBank(signing).listen(sandbox);
      try {
        const report = await probe(bank, 'de-judge');
        assert.equal(report.authorised, true, JSON.stringify([report, bank.seen]));
        assert.equal(bank.seen[0].path, '/v1/consents');
        assert.equal(bank.seen.at(-1).path, '/v1/accounts');
        const serial = `SN=${bank.seal.certificate.serialNumber.toLowerCase()},CA=`;
        for (const { signed, certificate, error } of bank.seen) {
          assert.equal(error, undefined);
          assert.deepEqual([signed.digest, signed.right, !signed.altered, certificate], [true, true, true, true]);
          assert.equal(signed.tag, tag);
          assert.ok(signed.keyId.toLowerCase().startsWith(serial.toLowerCase()), signed.keyId);
        }
      } finally {
        await bank.close();
      }
    });
  }

  test('a UK bank that registers finds the request signed, and our software vouched for', async () => {
    const bank = await new RegisteringBank().open(sandbox);
    try {
      const file = path.join(sandbox.dataDir, '..', 'gb-judge-registrar.toml');
      writeFileSync(file, bank.profile());
      const callback = `${sandbox.issuer}/callback/gb-albion-bank`;
      const made = await run([
        'banks', 'register', '--profile', file, '--data-dir', sandbox.dataDir, '--redirect-uri', callback,
        '--software-statement', path.join(sandbox.dataDir, 'pki', 'software-statement.jwt'), '--json',
      ]);
      assert.equal(made.client_id, 'judged-1', JSON.stringify([made, bank.seen]));
      const [{ media, header, claims, statement, subject }] = bank.seen;
      assert.deepEqual([media, header.alg], ['application/jwt', 'PS256']);
      assert.deepEqual(claims.redirect_uris, [callback]);
      assert.deepEqual(claims.response_types, ['code id_token']);
      assert.equal(claims.scope, 'openid accounts');
      assert.equal(claims.exp - claims.iat, 300);
      assert.equal(statement.software_id, claims.iss);
      // RFC 4514 §2.4: an attribute without a name has the hexadecimal of its encoding.
      const id = subject.match(/organizationIdentifier=(.*)/)[1];
      const hex = Buffer.concat([Buffer.from([0x0c, id.length]), Buffer.from(id)]).toString('hex');
      const written = subject.split('\n').reverse().join(',').replace(/organizationIdentifier=[^,]*/, `2.5.4.97=#${hex}`);
      assert.equal(claims.tls_client_auth_subject_dn, written);
    } finally {
      await bank.close();
    }
  });

  test('a Polish bank finds every body signed, and as the published file has it', async () => {
    const bank = await new PolishBank().listen(sandbox);
    try {
      const report = await probe(bank, 'pl-judge');
      assert.equal(report.authorised, true, JSON.stringify([report, bank.seen]));
      assert.deepEqual(report.steps.map(({ step }) => step), ['consent', 'browser', 'callback', 'token', 'accounts']);
      assert.deepEqual(bank.seen.map(({ path: where }) => where.split('/').at(-1)), ['authorize', 'token', 'getAccounts']);
      for (const seen of bank.seen) {
        const { detached, named, altered, id, problems } = seen;
        assert.deepEqual([detached, named, altered, id, problems], [true, true, 'refused', true, null], JSON.stringify(seen));
      }
    } finally {
      await bank.close();
    }
  });

  test('the Polish model bank answers as the published file has it', { skip: unpublished ?? false }, async () => {
    const model = `https://localhost:${new URL(sandbox.issuer).port - 0 + 12}`;
    const callback = `${sandbox.issuer}/callback/pl-bank-wisla`;
    const tpp = new PolishTpp(sandbox, model, callback);
    const holds = (name, answer, status = 200) => {
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.deepEqual(judged(name, answer.body), null, JSON.stringify(answer.body));
      return answer.body;
    };
    const authorized = async (scope, privileges) => {
      const consentId = randomUUID();
      const asked = await tpp.ask('auth', 'authorize', {
        response_type: 'code', client_id: tpp.clientId, redirect_uri: callback, scope, state: 's',
        scope_details: {
          consentId, scopeGroupType: scope, scopeTimeLimit: new Date(Date.now() + 86_400_000).toISOString(),
          throttlingPolicy: 'psd2Regulatory', privilegeList: [privileges],
        },
      });
      const code = await tpp.code(holds('AuthorizeResponse', asked).aspspRedirectUri);
      const redeemed = await tpp.ask('auth', 'token', {
        grant_type: 'authorization_code', Code: code, redirect_uri: callback, client_id: tpp.clientId,
      });
      return { consentId, ...holds('TokenResponse', redeemed) };
    };
    assert.ok(judged('AccountResponse', {}), 'an answer without its header is none');
    try {
      const uses = { scopeUsageLimit: 'multiple' };
      const history = { ...uses, maxAllowedHistoryLong: 90 };
      const ais = await authorized('ais', {
        'ais-accounts:getAccounts': uses, 'ais:getAccount': uses,
        'ais:getTransactionsDone': history, 'ais:getTransactionsPending': history,
        'ais:getTransactionsScheduled': history, 'ais:getTransactionDetail': history,
      });
      const read = (operation, members) => tpp.ask('accounts', operation, members, ais.access_token);
      const { accounts } = holds('AccountsResponse', await read('getAccounts', {}));
      const named = { accountNumber: accounts[0].accountNumber };
      holds('AccountResponse', await read('getAccount', named));
      const toCome = holds('TransactionsScheduledInfoResponse', await read('getTransactionsScheduled', named));
      assert.equal(toCome.transactions.length, 1);
      const done = holds('TransactionsDoneInfoResponse', await read('getTransactionsDone', named));
      assert.ok(done.transactions.length > 10 && done.pageInfo.nextPage);
      const one = { ...named, itemId: done.transactions[0].itemId };
      holds('TransactionDetailResponse', await read('getTransactionDetail', one));
      holds('TransactionPendingInfoResponse', await read('getTransactionsPending', named));
      holds('Error', await read('getAccount', { accountNumber: '1' }), 403);
      const transfer = {
        recipient: { accountNumber: 'PL06999010060000000000020018', nameAddress: { value: ['Sklep'] } },
        sender: {},
        transferData: { description: 'Faktura', amount: '1.00', currency: 'PLN' },
        deliveryMode: 'StandardD1', system: 'Elixir', executionMode: 'Immediate',
      };
      const pis = await authorized('pis', { 'pis:domestic': transfer, 'pis:getPayment': { tppTransactionId: 'T-1' } });
      const pay = (operation, members) => tpp.ask('payments', operation, members, pis.access_token);
      const placed = holds('AddPaymentResponse', await pay('domestic', { ...transfer, tppTransactionId: 'T-1', hold: false }));
      holds('GetPaymentResponse', await pay('getPayment', { paymentId: placed.paymentId }));
      const ended = await tpp.ask('accounts', 'deleteConsent', { consentId: ais.consentId });
      assert.equal(ended.status, 204);
      holds('Error', await read('getAccounts', {}), 401);
    } finally {
      tpp.close();
    }
  });
});
