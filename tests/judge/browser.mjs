// Chromium, headless, without JavaScript: what the pages promise to work without.

import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import https from 'node:https';
import path from 'node:path';

import axe from 'axe-core';
import { chromium } from 'playwright-core';

function executable() {
  const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
  const places = (process.env.PATH ?? '').split(path.delimiter);
  const candidates = [process.env.CHROMIUM, ...names.flatMap((name) => places.map((place) => path.join(place, name)))];
  for (const candidate of candidates.filter(Boolean)) {
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not here.
    }
  }
  throw new Error('no Chromium on the PATH: install chromium, or name it in CHROMIUM');
}

export async function openBrowser() {
  return chromium.launch({
    executablePath: executable(),
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
}

// A browser profile of its own. The sandbox's root is in no browser.
export async function openContext(browser, options = {}) {
  return browser.newContext({
    javaScriptEnabled: false,
    ignoreHTTPSErrors: true,
    viewport: { width: 960, height: 900 },
    ...options,
  });
}

// The application's own page, where the person comes back to.
export async function openApplication(sandbox) {
  const server = https.createServer({ cert: sandbox.pki('server.pem'), key: sandbox.pki('server.key') });
  server.on('request', (_request, response) => {
    response.setHeader('content-type', 'text/plain').end('back in the application');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { address: `https://localhost:${server.address().port}/return`, close };
}

// What every page must have, whoever looks at it and however.
export async function complaintsAbout(page, language = 'en') {
  return page.evaluate((language) => {
    const complaints = [];
    const say = (wrong, text) => wrong && complaints.push(text);
    say(!document.title.trim(), 'no title');
    say(document.documentElement.lang !== language, 'no language');
    say(document.querySelectorAll('h1').length !== 1, 'not one h1');
    say(document.querySelectorAll('main').length !== 1, 'not one main');
    say(document.scripts.length > 0, 'a script');
    for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
      say(!field.labels.length || !field.labels[0].textContent.trim(), `no label: ${field.outerHTML}`);
    }
    for (const button of document.querySelectorAll('button')) {
      say(!button.textContent.trim(), `no text: ${button.outerHTML}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    say(new Set(ids).size !== ids.length, 'an id is used twice');
    let level = 0;
    for (const heading of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
      const next = Number(heading.tagName[1]);
      say(next > level + 1, `a heading level is left out before ${heading.textContent}`);
      level = next;
    }
    const width = document.documentElement.scrollWidth;
    say(width > window.innerWidth, `wider than the window: ${width}`);
    return complaints;
  }, language);
}

const WCAG_22_AA = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// What axe finds against WCAG 2.2 AA. Its script comes by the debugger, which no
// policy of a page keeps out; it needs a context in which scripts run.
export async function violationsOf(page) {
  // What is still being loaded moves what is below it.
  await page.waitForLoadState('load');
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(
    (tags) => globalThis.axe.run(document, { runOnly: tags, resultTypes: ['violations'] }),
    WCAG_22_AA,
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
}

// Tabs until the focus is on a control with this text, and says whether one sees it there.
export async function tabTo(page, text) {
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      const label = element.labels?.[0]?.textContent ?? element.textContent;
      return { text: label.trim(), visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
    });
    if (at.text === text) return at.visible;
  }
  throw new Error(`the tab key does not reach "${text}"`);
}
