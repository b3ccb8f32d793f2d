// A person's browser without a screen: follows redirects with a cookie jar per
// host until the application's address, and keeps its hands off everything else.

import { fetch } from 'undici';

export class Person {
  #jars = new Map();

  constructor(dispatcher, headers = {}) {
    this.dispatcher = dispatcher;
    this.headers = headers;
  }

  // Walks from `start` to the first address that begins with `end`.
  async walk(start, end) {
    let url = new URL(start);
    const visited = [];
    for (let hop = 0; hop < 30; hop++) {
      if (url.href.startsWith(end)) return { url, visited };
      visited.push(url);
      const response = await this.#get(url);
      const location = response.headers.get('location');
      if (!location) {
        const text = (await response.text()).replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
        throw new Error(`the walk ended with ${response.status} on ${url.origin}${url.pathname}: ${text.slice(0, 200)}`);
      }
      await response.body?.cancel();
      url = new URL(location, url);
    }
    throw new Error('the walk goes round in circles');
  }

  async #get(url) {
    const jar = this.#jars.get(url.hostname) ?? new Map();
    this.#jars.set(url.hostname, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, {
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
