// Counts what really crosses the wire: a relay in front of the server, below HTTP and WebSocket.

import { connect, createServer } from 'node:net';

export class Meter {
  /** Bytes from the server to the browser, headers and all. */
  down = 0;
  up = 0;

  /** @param {import('node:net').Server} relay @param {string} url */
  constructor(relay, url) {
    this.relay = relay;
    this.url = url;
  }

  /** @param {number} port the server's */
  static async start(port) {
    /** @type {Meter} */
    let meter;
    const relay = createServer((client) => {
      const server = connect(port, '127.0.0.1');
      client.on('data', (chunk) => { meter.up += chunk.length; });
      server.on('data', (chunk) => { meter.down += chunk.length; });
      client.pipe(server).pipe(client);
      client.on('error', () => server.destroy());
      server.on('error', () => client.destroy());
    });
    await new Promise((listening) => relay.listen(0, '127.0.0.1', () => listening(null)));
    const address = relay.address();
    if (!address || typeof address !== 'object') throw new Error('the relay has no port');
    meter = new Meter(relay, `http://127.0.0.1:${address.port}`);
    return meter;
  }

  stop() {
    this.relay.close();
  }
}
