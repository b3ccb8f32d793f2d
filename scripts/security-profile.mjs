#!/usr/bin/env node
// Writes docs/security-profile.md: which test holds the authorization server to
// which rule, and how it fared.
//
//   scripts/security-profile.mjs [--check] JUNIT.xml …
//
// The rules and the modules of the official plan are in
// conformance/security-profile.json. A test names what it holds us to in its doc
// comment: rules in round brackets, "(AS13, R4)", modules as "[module: name]".
// Results are those of the JUnit files, which nextest writes. With --check
// nothing is written: it fails if the document is not what would be written, if
// a rule or module has no test, or if a test names one that is not there.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const arguments_ = process.argv.slice(2);
const check = arguments_.includes('--check');
const reports = arguments_.filter((argument) => argument !== '--check');
const document = path.join(root, 'docs/security-profile.md');
const { rules, modules } = JSON.parse(readFileSync(path.join(root, 'conformance/security-profile.json'), 'utf8'));

// --- What tests say ----------------------------------------------------------

const sources = readdirSync(path.join(root, 'src'), { recursive: true })
  .filter((name) => name.endsWith('.rs'))
  .sort();
const TEST = /((?:^[ \t]*\/\/\/.*\n)+)(?:^[ \t]*#\[.*\]\n)*^[ \t]*(?:pub )?(?:async )?fn (\w+)/gm;
const RULES = /\(((?:(?:AS|MS|RS|R|N|M|C|B)\d+)(?:, (?:AS|MS|RS|R|N|M|C|B|CL)\d+)*)\)/g;
const MODULES = /\[module: ([\w-]+)\]/g;
const tests = [];
for (const name of sources) {
  const file = path.posix.join('src', name);
  const text = readFileSync(path.join(root, file), 'utf8');
  for (const [, comment, test] of text.matchAll(TEST)) {
    const named = [...comment.matchAll(RULES)].flatMap(([, ids]) => ids.split(', '));
    const played = [...comment.matchAll(MODULES)].map(([, module]) => module);
    if (named.length + played.length) tests.push({ file, test, rules: named, modules: played });
  }
}

// --- How they fared ----------------------------------------------------------

const outcomes = new Map();
for (const report of reports) {
  const xml = readFileSync(report, 'utf8');
  for (const [, attributes, body] of xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const name = /\bname="([^"]*)"/.exec(attributes)[1];
    const failed = /<(failure|error)\b/.test(body ?? '');
    // `module::test`, or `test::on_sqlite` where a test runs on both databases.
    const test = name.replace(/::on_(sqlite|postgres)$/, '').split('::').at(-1);
    outcomes.set(test, (outcomes.get(test) ?? true) && !failed);
  }
}
const fared = ({ test }) => {
  if (!outcomes.has(test)) return 'not run';
  return outcomes.get(test) ? 'passed' : '**failed**';
};

// --- The document ------------------------------------------------------------

const wrong = [];
const known = new Set([...rules.map(({ id }) => id), ...modules.map(({ name }) => name)]);
for (const { file, test, rules: named, modules: played } of tests) {
  for (const name of [...named, ...played]) {
    if (!known.has(name) && !/^CL\d+$/.test(name)) wrong.push(`${file}: ${test} names ${name}, which is no rule or module`);
  }
}
const words = (test) => test.replaceAll('_', ' ');
const shown = (of) => of.map((test) => `[${words(test.test)}](../${test.file})`).join('<br>');
const results = (of) => {
  const all = new Set(of.map(fared));
  return all.size === 1 ? [...all][0] : of.map(fared).join('<br>');
};
const ruleRow = ({ id, clause, holds, left_out: leftOut }) => {
  const of = tests.filter((test) => test.rules.includes(id));
  if (leftOut) return `| ${id} | ${clause} | ${holds} | ${leftOut} | – |`;
  if (!of.length) wrong.push(`rule ${id} has no test`);
  return `| ${id} | ${clause} | ${holds} | ${shown(of) || '**no test**'} | ${results(of)} |`;
};
const moduleRow = ({ name, not_ours: notOurs }, index) => {
  const of = tests.filter((test) => test.modules.includes(name));
  if (notOurs) return `| ${index + 1} | ${name} | ${notOurs} | – |`;
  if (!of.length) wrong.push(`module ${name} has no test`);
  return `| ${index + 1} | ${name} | ${shown(of) || '**no test**'} | ${results(of)} |`;
};
const text = `# Security profile

Written by \`make security-profile\` from the tests; \`make test\` fails when it is out of date.

FAPI 2.0 Security Profile (Final) with Message Signing, and what it builds on.
Each rule is held by the tests beside it, on SQLite and on PostgreSQL, in both
directions: what is right is accepted, what is wrong is refused by the right
error. Independent software judges the whole on top: openid-client as a fintech
(\`tests/fintech.test.mjs\`, \`tests/profile.test.mjs\`).

## Rules

AS authorization server · MS message signing · RS resource server · R revocation
· N introspection · M mutual TLS · C registration · B backchannel (CIBA)

| Rule | Clause | What holds | Tests | Result |
|---|---|---|---|---|
${rules.map(ruleRow).join('\n')}

## Modules of the official plan

The ${modules.length} modules of \`fapi2-message-signing-final-test-plan\`, each with the tests here that
play what it plays. The official suite itself needs a server of its own and is not run here.

| # | Module | Tests | Result |
|---|---|---|---|
${modules.map(moduleRow).join('\n')}
`;

if (!reports.length) wrong.push('no JUnit file was named, so no test has a result');
if (!check) {
  writeFileSync(document, text);
  for (const line of wrong) console.error(`security profile: ${line}`);
  console.log(`Written to ${path.relative(process.cwd(), document)}`);
} else {
  let there = '';
  try {
    there = readFileSync(document, 'utf8');
  } catch {
    // Then it is out of date.
  }
  if (there !== text) wrong.push('docs/security-profile.md is not what the tests say: run make security-profile');
  for (const line of wrong) console.error(`security profile: ${line}`);
}
process.exit(wrong.length ? 1 : 0);
