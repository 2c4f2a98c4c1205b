// The local stack as the tests use it: started on a free port, stopped, killed, started again.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const HERE = import.meta.dirname;
const BINARY = resolve(HERE, process.env.POSTHORN_BIN ?? '../../target/debug/posthorn');
const START_WITHIN_MS = 60_000;

/** The value of `X-Mandrill-Signature`: over the address, then each field's name and value. */
export function sign(key, url, fields) {
  const signed = Object.keys(fields)
    .sort()
    .reduce((text, name) => text + name + fields[name], url);
  return createHmac('sha1', key).update(signed).digest('base64');
}

export class Stack {
  #child = null;
  #output = '';

  /** `options` are further words for `posthorn up`. */
  constructor(directory, options = []) {
    this.directory = directory;
    this.options = options;
    this.binary = BINARY;
    this.port = 0;
  }

  static async start(options) {
    const stack = new Stack(await mkdtemp(join(tmpdir(), 'posthorn-browser-')), options);
    await stack.start();
    return stack;
  }

  /** Starts it; again on the port that it had before, if it had one. */
  async start() {
    await rm(join(this.directory, 'stack.json'), { force: true });
    const child = spawn(BINARY, ['up', '--port', String(this.port), '--data-dir', this.directory, ...this.options], {
      cwd: resolve(HERE, '../..'),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        this.#output = (this.#output + chunk).slice(-4_000);
      });
    }
    child.on('error', (error) => {
      this.#output += error.message;
    });
    const deadline = Date.now() + START_WITHIN_MS;
    while (!(await this.#isUp())) {
      if (child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`${BINARY} did not start:\n${this.#output}`);
      }
      await pause(20);
    }
    this.port = Number(new URL(this.http).port);
  }

  async #isUp() {
    try {
      Object.assign(this, JSON.parse(await readFile(join(this.directory, 'stack.json'), 'utf8')));
      return (await fetch(`${this.http}/healthz`)).ok;
    } catch {
      return false;
    }
  }

  /** Ends it without giving it a chance to say good-bye. */
  async kill() {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async discard() {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** The page's address with the token that opens it. */
  get page() {
    return `${this.http}/#token=${encodeURIComponent(this.token)}`;
  }

  /** Posts a batch as Mandrill does; it is stored when this returns. */
  async post(events) {
    const fields = { mandrill_events: JSON.stringify(events) };
    const answer = await fetch(this.webhook_url, {
      method: 'POST',
      headers: { 'x-mandrill-signature': sign(this.webhook_keys[0], this.webhook_url, fields) },
      body: new URLSearchParams(fields),
    });
    if (answer.status !== 200) {
      throw new Error(`the webhook answered ${answer.status}: ${await answer.text()}\n${this.#output}`);
    }
  }

  /** The newest events, newest first. */
  async history(limit) {
    const answer = await fetch(`${this.http}/v1/events?limit=${limit}`, {
      headers: { authorization: `Bearer ${this.token}` },
    });
    return (await answer.json()).events;
  }
}
