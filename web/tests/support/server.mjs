// The real edge server, as its own process.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const START_MS = 60_000;

/**
 * `EDGE_SERVER`: the program. `EDGE_SERVER_MODELS` and `EDGE_SERVER_WEB_DIR` mean what they mean to
 * the server: without the latter it serves the page that is embedded in it.
 */
export class EdgeServer {
  /** @type {import('node:child_process').ChildProcess | null} */ #process = null;
  #log = '';

  /** @param {number} port */
  constructor(port) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** @param {string[]} [flags] for the server */
  static async start(flags = []) {
    const server = new EdgeServer(await freePort());
    await server.start(flags);
    return server;
  }

  /** Starts it, again on the same port if it was killed. @param {string[]} [flags] */
  async start(flags = []) {
    const program = resolve(REPOSITORY, process.env.EDGE_SERVER ?? 'target/release/edge-server');
    if (!existsSync(program)) {
      throw new Error(`${program} is missing: build it (cargo xtask test does) or name it in EDGE_SERVER`);
    }
    this.#log = '';
    const child = spawn(program, ['--listen', `127.0.0.1:${this.port}`, ...flags], {
      cwd: REPOSITORY,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { EDGE_SERVER_MODELS: resolve(REPOSITORY, 'models'), ...process.env },
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => { this.#log += text; });
    }
    const deadline = Date.now() + START_MS;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`the edge server ended with ${child.exitCode}:\n${this.#log}`);
      const healthy = await fetch(`${this.url}/healthz`).then((response) => response.ok, () => false);
      if (healthy) return;
      if (Date.now() > deadline) throw new Error(`the edge server does not answer:\n${this.#log}`);
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  /** Ends it without a goodbye. */
  async kill() {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((next) => child.once('exit', next));
    child.kill('SIGKILL');
    await ended;
  }

  get log() {
    return this.#log;
  }

  /** @returns {Promise<any>} the first model's manifest */
  async model() {
    const answer = await (await fetch(`${this.url}/v1/models`)).json();
    return answer.models[0];
  }

  /** @returns {Promise<string[]>} the names of the classes */
  async labels() {
    const model = await this.model();
    return (await fetch(`${this.url}/models/${model.name}/${model.labels.file}`)).json();
  }
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((found, failed) => {
    const probe = createServer();
    probe.on('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (address && typeof address === 'object' ? found(address.port) : failed(new Error('no port'))));
    });
  });
}
