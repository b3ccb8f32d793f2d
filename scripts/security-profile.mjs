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

import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { documented, outcomesOf, report } from './tables.mjs';

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
const RULES = /\(((?:(?:AS|MS|RS|R|N|M|C|B)\d+)(?:, (?:AS|MS|RS|R|N|M|C|B|CL)\d+)*)\)/g;
const MODULES = /\[module: ([\w-]+)\]/g;
const tests = [];
for (const name of sources) {
  const file = path.posix.join('src', name);
  const text = readFileSync(path.join(root, file), 'utf8');
  for (const { comment, test } of documented(text)) {
    const named = [...comment.matchAll(RULES)].flatMap(([, ids]) => ids.split(', '));
    const played = [...comment.matchAll(MODULES)].map(([, module]) => module);
    if (named.length + played.length) tests.push({ file, test, rules: named, modules: played });
  }
}

// --- How they fared ----------------------------------------------------------

const fared = outcomesOf(reports);

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

process.exit(report({ name: 'security-profile', document, text, wrong, check, reports }));
