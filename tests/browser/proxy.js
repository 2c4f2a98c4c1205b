// What stands between a browser and a server, and does what networks do.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Proxy {
  #server;
  #pairs = new Set();
  /** Refuses whatever comes. */
  isCut = false;
  /** Lets connections stand, and nothing through. */
  isSilent = false;
  /** Answers the requests that begin so with 403, as a company's proxy does to `Upgrade: websocket`. */
  refuses = () => false;

  static async start(port) {
    const proxy = new Proxy();
    proxy.#server = createServer((near) => proxy.#join(near, port));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.http = `http://127.0.0.1:${proxy.#server.address().port}`;
    return proxy;
  }

  #join(near, port) {
    if (this.isCut) return near.resetAndDestroy();
    const far = connect(port, '127.0.0.1');
    const pair = [near, far];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    near.on('data', (bytes) => {
      if (this.isSilent) return;
      if (this.refuses(bytes.toString('latin1'))) {
        near.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      far.write(bytes);
    });
    far.on('data', (bytes) => {
      if (!this.isSilent) near.write(bytes);
    });
    for (const socket of pair) socket.on('close', end).on('error', end);
  }

  /** Breaks every connection off. */
  cut() {
    for (const [near] of this.#pairs) near.resetAndDestroy();
  }

  async stop() {
    this.cut();
    this.#server.close();
  }
}
