// A person's browser without a screen: follows redirects with a cookie jar per
// host until the application's address, and keeps its hands off everything else.

import { fetch } from 'undici';

export class Person {
  #jars = new Map();

  // With `answers`, fills in the forms of pages and approves what they ask.
  constructor(dispatcher, headers = {}, answers = undefined) {
    Object.assign(this, { dispatcher, headers, answers });
  }

  // Walks from `start` to the first address that begins with `end`.
  async walk(start, end) {
    let url = new URL(start);
    let form;
    const visited = [];
    for (let hop = 0; hop < 30; hop++) {
      if (url.href.startsWith(end)) return { url, visited };
      visited.push(url);
      const response = await this.#get(url, form);
      form = undefined;
      const location = response.headers.get('location');
      if (!location) {
        const html = await response.text();
        const found = this.answers && filled(html, this.answers);
        if (found) {
          form = found.fields;
          url = new URL(found.action, url);
          continue;
        }
        const text = html.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
        throw new Error(`the walk ended with ${response.status} on ${url.origin}${url.pathname}: ${text.slice(0, 200)}`);
      }
      await response.body?.cancel();
      url = new URL(location, url);
    }
    throw new Error('the walk goes round in circles');
  }

  async #get(url, form) {
    const jar = this.#jars.get(url.hostname) ?? new Map();
    this.#jars.set(url.hostname, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form,
      redirect: 'manual',
      dispatcher: this.dispatcher,
      headers: { ...this.headers, ...(cookie ? { cookie } : {}) },
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const [name, ...value] = pair.split('=');
      const over = attributes.some((attribute) => /^max-age=(0|-)/i.test(attribute) || /^expires=thu, 01 jan 1970/i.test(attribute));
      if (over) jar.delete(name);
      else jar.set(name, value.join('='));
    }
    return response;
  }
}

// The first form of a page that posts, as a person fills it in who approves.
function filled(html, answers) {
  const attribute = (tag, name) => new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1]?.replaceAll('&amp;', '&');
  const form = [...html.matchAll(/<form[^]*?<\/form>/g)].map(([text]) => text).find((text) => /^<form[^>]* method="post"/i.test(text));
  if (!form) return undefined;
  const fields = new URLSearchParams();
  for (const [tag] of form.matchAll(/<(?:input|button)[^>]*>/g)) {
    const [name, kind] = [attribute(tag, 'name'), attribute(tag, 'type') ?? 'text'];
    if (!name) continue;
    if (kind === 'hidden' || / checked/.test(tag)) fields.append(name, attribute(tag, 'value') ?? '');
    else if (name === 'decision') fields.set(name, 'approve');
    else if (!['radio', 'checkbox', 'submit'].includes(kind)) fields.append(name, answers[name] ?? '');
  }
  return { action: attribute(form, 'action') ?? '', fields };
}
