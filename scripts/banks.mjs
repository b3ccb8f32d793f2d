#!/usr/bin/env node
// Writes docs/banks.md: which test goes which way at which kind of bank, which test
// meets which deviation of banks, and how much of what banks really sent is read.
//
//   scripts/banks.mjs [--check] JUNIT.xml …
//
// A test names its ways in its doc comment: "[connector: accounts, payment at uk stet]",
// in the words of conformance/banks.json. Deviations are found where tests pair them
// (`Pair::fails(Name::…`, `QuirkName::Registration…`). Results are those of the JUnit
// files. With --check nothing is written: it fails if the document is not what would
// be written, or if a deviation or an operation has neither test nor reason.

import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { documented, outcomesOf, report } from './tables.mjs';

const root = path.resolve(import.meta.dirname, '..');
const arguments_ = process.argv.slice(2);
const check = arguments_.includes('--check');
const reports = arguments_.filter((argument) => argument !== '--check');
const facts = JSON.parse(readFileSync(path.join(root, 'conformance/banks.json'), 'utf8'));
const outcome = outcomesOf(reports);
const wrong = [];

// --- What tests say ----------------------------------------------------------

const folder = path.join(root, 'src/gateway/tests');
const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.rs')).sort();
const ways = [];
const met = new Map();
const note = (deviation, how, test) => {
  const all = met.get(deviation) ?? [];
  if (!all.some((known) => known.test === test.test)) met.set(deviation, [...all, { ...test, how }]);
};
for (const name of files) {
  const text = readFileSync(path.join(folder, name), 'utf8');
  const file = path.posix.join('src/gateway/tests', name);
  for (const { comment, test, body } of documented(text)) {
    const at = { file, test };
    const said = comment.replace(/\n[ \t]*\/\/\/ ?/g, ' ');
    for (const [, operations, banks] of said.matchAll(/\[connector: (.+?) at (.+?)\]/g)) {
      ways.push({ ...at, operations: operations.split(', '), banks: banks.split(' ') });
    }
    for (const [, how, deviation] of body.matchAll(/Pair::(fails|passes)\(Name::(\w+)/g)) note(deviation, how, at);
    for (const [, deviation] of body.matchAll(/QuirkName::(Registration\w+)/g)) note(deviation, 'fails', at);
  }
}

// --- The document ------------------------------------------------------------

const banks = new Set(facts.connections.map(({ name }) => name));
for (const { file, test, operations, banks: at } of ways) {
  for (const operation of operations.filter((operation) => !facts.operations.includes(operation))) {
    wrong.push(`${file}: ${test} names ${operation}, which is no operation`);
  }
  for (const bank of at.filter((bank) => !banks.has(bank))) wrong.push(`${file}: ${test} names ${bank}, which is no bank`);
}
const link = (of) => `[${of.test.replaceAll('_', ' ')}](../${of.file})`;
const cell = (operation, bank) => {
  const of = ways.filter((way) => way.operations.includes(operation) && way.banks.includes(bank));
  return of.map((way) => `[${outcome(way)}](../${way.file} "${way.test.replaceAll('_', ' ')}")`).join(' ') || '–';
};
const row = (operation) => {
  if (!ways.some((way) => way.operations.includes(operation))) wrong.push(`${operation} has no test`);
  return `| ${operation} | ${facts.connections.map(({ name }) => cell(operation, name)).join(' | ')} |`;
};
const quirks = readFileSync(path.join(root, 'src/connect/quirk.rs'), 'utf8');
const names = [...quirks.matchAll(/^ {4}(\w+) = "([a-z0-9-]+)",/gm)];
const deviation = ([, variant, word]) => {
  const of = met.get(variant) ?? [];
  const reason = facts.quirks_without_a_test[word];
  if (Boolean(of.length) === Boolean(reason)) wrong.push(`${word} has ${reason ? 'a test and a reason' : 'neither test nor reason'}`);
  if (!of.length) return `| \`${word}\` | – | ${reason ?? '**no test**'} | – |`;
  const strict = of.some(({ how }) => how === 'fails') ? 'fails' : 'passes';
  return `| \`${word}\` | ${strict} | ${of.map(link).join('<br>')} | ${[...new Set(of.map(outcome))].join(', ')} |`;
};
// The catalogue of deviations that were met at banks: which rules, key or habit of ours meets each.
const catalogue = JSON.parse(readFileSync(path.join(root, 'conformance/quirks/quirks.json'), 'utf8'));
const byRules = { file: 'src/dialects/selftest/quirks.rs', test: 'rules_meet_each_deviation_and_a_strict_profile_does_not' };
const sources = new Map();
const hasTest = ({ file, test }) => {
  if (!sources.has(file)) sources.set(file, readFileSync(path.join(root, file), 'utf8'));
  return new RegExp(`fn ${test}\\b`).test(sources.get(file));
};
const words = { rule: 'rules', key: 'profile', always: 'always', not: '**not**' };
const quirk = ({ id, what, met, by, tests }) => {
  const of = (tests ?? (met === 'not' ? [] : [null])).map((name) => {
    if (name === null) return byRules;
    const [file, test] = name.split('::');
    return { file, test };
  });
  for (const test of of.filter((test) => !hasTest(test))) wrong.push(`${id} names ${test.test} of ${test.file}, which is no test`);
  const how = met === 'key' ? by.split(', ').map((key) => `\`${key}\``).join(', ') : by.split(', ').map((name) => (name.startsWith('xx-') ? `\`${name}\`` : name)).join(', ');
  const results = [...new Set(of.map(outcome))].join(', ') || '–';
  return `| ${id} | ${what} | ${words[met]} | ${how} | ${of.map(link).join('<br>') || '–'} | ${results} |`;
};
const tally = (met) => catalogue.filter((entry) => entry.met === met).length;
const columns = facts.connections.map(({ standard, approach }) => `${standard}<br>${approach}`).join(' | ');
// As the test asserts it where the recordings are.
const recorded = readFileSync(path.join(root, 'src/dialects/recorded/tests.rs'), 'utf8');
const [, total, parsed, typed] = /Tally \{ total: (\d+), parsed: (\d+), typed_errors: (\d+), unread: 0 \}/.exec(recorded);
const text = `# Banks

Written by \`make banks\` from the tests; \`make test\` fails when it is out of date.

## Standard, operation and way to authenticate

Every journey goes through the whole gateway, over real TLS, to a model bank that
shares no protocol code with the connector.

| Operation | ${columns} |
|---|${'---|'.repeat(facts.connections.length)}
${facts.operations.map(row).join('\n')}

## Deviations of banks

Each deviation that a profile may state is a habit of the UK model bank. "Strict" is
what becomes of a profile that knows nothing of it: where it passes, the standard
allows what the bank does, or nothing of ours depends on it. A profile that states
the deviation gets through.

| Deviation | Strict | Test | Result |
|---|---|---|---|
${names.map(deviation).join('\n')}

## What was met at real banks

${catalogue.length} deviations of real banks were collected. ${tally('always')} are met always, ${tally('key')} by a key of the
profile, ${tally('rule')} by rules that a profile states; ${tally('not')} are not met, and the table says why. The
rules of each, with their tests, are profiles to copy from: \`conformance/quirks\`. A brand of
these files passes with its rules and fails without them.

| | Deviation | Met | By | Test | Result |
|---|---|---|---|---|---|
${catalogue.map(quirk).join('\n')}

## What banks really sent

Of ${total} recorded exchanges, ${parsed} are read and ${typed} end in a typed error that names the bank
and the place: errors of the bank's own, and answers that are broken. None is unread
(\`consentry banks read FILE\`; \`dialects::recorded\`).
`;

process.exit(report({ name: 'banks', document: path.join(root, 'docs/banks.md'), text, wrong, check, reports }));
