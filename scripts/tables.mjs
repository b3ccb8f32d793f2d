// What the tables that are made from tests share.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const TEST = /((?:^[ \t]*\/\/\/.*\n)*)(?:^[ \t]*#\[.*\]\n)*^[ \t]*(?:pub )?(?:async )?fn (\w+)/gm;

// The functions of a Rust file, with their doc comments and what follows until the next one.
export function documented(text) {
  const found = [...text.matchAll(TEST)];
  return found.map((match, index) => ({
    comment: match[1],
    test: match[2],
    body: text.slice(match.index + match[0].length, found[index + 1]?.index ?? text.length),
  }));
}

// How a test fared in all of these JUnit files.
export function outcomesOf(reports) {
  const outcomes = new Map();
  for (const file of reports) {
    const xml = readFileSync(file, 'utf8');
    for (const [, attributes, body] of xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
      const name = /\bname="([^"]*)"/.exec(attributes)[1];
      const failed = /<(failure|error)\b/.test(body ?? '');
      // `module::test`, or `test::on_sqlite` where a test runs on both databases.
      const test = name.replace(/::on_(sqlite|postgres)$/, '').split('::').at(-1);
      outcomes.set(test, (outcomes.get(test) ?? true) && !failed);
    }
  }
  return ({ test }) => {
    if (!outcomes.has(test)) return 'not run';
    return outcomes.get(test) ? 'passed' : '**failed**';
  };
}

// Writes the document, or with `check` compares it; says what is wrong. The exit code.
export function report({ name, document, text, wrong, check, reports }) {
  if (!reports.length) wrong.push('no JUnit file was named, so no test has a result');
  if (check) {
    let there = '';
    try {
      there = readFileSync(document, 'utf8');
    } catch {
      // Then it is out of date.
    }
    if (there !== text) wrong.push(`${path.basename(document)} is not what the tests say: run make ${name}`);
  } else {
    writeFileSync(document, text);
    console.log(`Written to ${path.relative(process.cwd(), document)}`);
  }
  for (const line of wrong) console.error(`${name}: ${line}`);
  return wrong.length ? 1 : 0;
}
