// What stands between a gateway and what it needs: passes everything on, slowly, or nothing at all.

import { once } from 'node:events';
import net from 'node:net';
import { Transform } from 'node:stream';

export class Relay {
  #sockets = new Set();
  #server;
  #to;
  port;
  // Milliseconds by which each piece is late.
  delay = 0;

  static async to(host, port) {
    const relay = new Relay();
    relay.#to = { host, port: Number(port) };
    await relay.open(0);
    return relay;
  }

  async open(port = this.port) {
    this.#server = net.createServer((from) => {
      const to = net.connect(this.#to);
      for (const [one, other] of [[from, to], [to, from]]) {
        this.#sockets.add(one);
        one.setNoDelay(true);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        const late = (chunk, _, done) => (this.delay ? setTimeout(done, this.delay, null, chunk) : done(null, chunk));
        one.pipe(new Transform({ transform: late })).pipe(other);
      }
    });
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
  }

  async close() {
    this.#sockets.forEach((socket) => socket.destroy());
    this.#server.close();
    await once(this.#server, 'close');
  }
}
