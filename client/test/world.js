// What the client takes from its surroundings, played by the test.

import { connect } from '../dist/posthorn-client.js';

/** Lets everything happen that waits for promises only. */
export const settle = () => new Promise((done) => setImmediate(done));

export const event = (cursor, more = {}) => ({ id: `evt_${cursor}`, type: 'send', cursor, ...more });
export const replay = (...cursors) => ({ type: 'events', replay: true, events: cursors.map((cursor) => event(cursor)), cursor: cursors.at(-1) });
export const pushed = (...cursors) => ({ type: 'events', events: cursors.map((cursor) => event(cursor)), cursor: cursors.at(-1) });
export const live = (cursor, recovered = true) => ({ type: 'live', recovered, cursor });

class Clock {
  time = 1_795_300_000_000;
  #timers = new Map();
  #next = 1;

  setTimeout = (then, after_ms) => {
    this.#timers.set(this.#next, { then, at: this.time + Math.max(0, after_ms) });
    return this.#next++;
  };

  clearTimeout = (timer) => this.#timers.delete(timer);

  /** Time passes, and what is due happens in order. */
  async run(ms) {
    const end = this.time + ms;
    for (;;) {
      const [timer, due] = [...this.#timers].reduce((first, one) => (one[1].at < first[1].at ? one : first), [0, { at: Infinity }]);
      if (due.at > end) break;
      this.time = Math.max(this.time, due.at);
      this.#timers.delete(timer);
      due.then();
      await settle();
    }
    this.time = end;
    await settle();
  }

  /** Time passes unnoticed: timers go on afterwards from where they stood. */
  sleep(ms) {
    this.time += ms;
    for (const timer of this.#timers.values()) timer.at += ms;
  }

  /** Time passes, and no timer fires until the next `run`. */
  stall(ms) {
    this.time += ms;
  }
}

class Socket {
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  sent = [];
  isClosed = false;

  constructor(url) {
    this.url = new URL(url);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.isClosed = true;
  }

  async open() {
    this.onopen?.({});
    await settle();
  }

  async say(...messages) {
    for (const message of messages) this.onmessage?.({ data: JSON.stringify(message) });
    await settle();
  }

  async drop() {
    this.onclose?.({});
    await settle();
  }

  /** What the resumes asked for: numbers are `last`, texts are cursors. */
  get resumes() {
    return this.sent.filter(({ action }) => action === 'resume').map(({ last, cursor }) => last ?? cursor);
  }

  /** Opens, and answers the first resume. */
  async begin(...cursors) {
    await this.open();
    await this.say(...(cursors.length > 1 ? [replay(...cursors)] : []), live(cursors.at(-1)));
  }
}

class Target {
  #listeners = new Map();
  addEventListener = (type, listener) => this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  removeEventListener = (type, listener) =>
    this.#listeners.set(type, (this.#listeners.get(type) ?? []).filter((one) => one !== listener));
  async tell(type, more = {}) {
    for (const listener of this.#listeners.get(type) ?? []) listener({ type, ...more });
    await settle();
  }
  get count() {
    return [...this.#listeners.values()].flat().length;
  }
}

class Page extends Target {
  hidden = false;
  async show(isShown) {
    this.hidden = !isShown;
    await this.tell('visibilitychange');
  }
}

/** A request that waits for the test's answer. */
class Request {
  #answer = Promise.withResolvers ? Promise.withResolvers() : withResolvers();
  #write;

  constructor(url, signal) {
    this.url = new URL(url);
    this.signal = signal;
    signal.addEventListener('abort', () => {
      this.#answer.reject(signal.reason);
      this.#write?.error(signal.reason);
    });
  }

  get answer() {
    return this.#answer.promise;
  }

  async json(status, body) {
    this.#answer.resolve({ ok: status < 300, status, json: async () => body, body: null });
    await settle();
  }

  async fail(message = 'no network') {
    this.#answer.reject(new TypeError(message));
    await settle();
  }

  /** Begins a stream. */
  async stream(text = ': hello\n\n') {
    const body = new ReadableStream({ start: (write) => (this.#write = write) });
    this.#answer.resolve({ ok: true, status: 200, json: async () => null, body });
    await settle();
    if (text) await this.write(text);
  }

  async write(text) {
    this.#write.enqueue(typeof text === 'string' ? new TextEncoder().encode(text) : text);
    await settle();
  }

  async tell(message, { event: name = 'events', id = message.cursor } = {}) {
    await this.write(`id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(message)}\n\n`);
  }

  async end() {
    this.#write.close();
    await settle();
  }
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

export const TICKET = {
  ticket: 't1',
  url: 'wss://feed.test/live?ticket=t1',
  stream_url: 'https://tail.test/v1/stream',
  poll_url: 'https://tail.test/v1/events',
  expires_at: '2026-11-22T01:01:00Z',
};

/** A client, and everything around it. Random numbers are 1 unless told otherwise: the longest waits. */
export class World {
  clock = new Clock();
  page = new Page();
  window = new Target();
  sockets = [];
  requests = [];
  tickets = 0;
  events = [];
  states = [];
  told = [];
  random = 1;
  /** Answers with a ticket; a test may put another in its place. */
  ticket = () => ({ ...TICKET, ticket: `t${this.tickets}`, url: `wss://feed.test/live?ticket=t${this.tickets}` });

  static async start(options = {}, more = {}) {
    const world = Object.assign(new World(), more);
    world.connect(options);
    await settle();
    return world;
  }

  connect(options) {
    const { clock, page, window } = this;
    const given = {
      ticket: (context) => {
        this.tickets += 1;
        return this.ticket(context);
      },
      onEvents: (events) => this.events.push(...events),
      onState: (state) => this.states.push(state),
      onLost: () => this.told.push('lost'),
      onReset: (why) => this.told.push(why),
      surroundings: {
        WebSocket: this.#socketClass(),
        fetch: (url, { signal }) => {
          const request = new Request(url, signal);
          this.requests.push(request);
          return request.answer;
        },
        setTimeout: clock.setTimeout,
        clearTimeout: clock.clearTimeout,
        now: () => clock.time,
        random: () => this.random,
        document: page,
        window,
      },
      ...options,
    };
    for (const [name, value] of Object.entries(given)) if (value === undefined) delete given[name];
    this.client = connect(given);
  }

  #socketClass() {
    const { sockets } = this;
    return class extends Socket {
      constructor(url) {
        super(url);
        sockets.push(this);
      }
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get request() {
    return this.requests.at(-1);
  }

  get state() {
    return this.client.state.name;
  }

  get names() {
    return this.states.map(({ name }) => name);
  }

  get ids() {
    return this.events.map(({ id }) => id.slice(4));
  }

  /** Lets the two further looks of a connection happen, which takes 12 s. */
  async looks(cursor) {
    for (const wait_ms of [2_000, 10_000]) {
      await this.clock.run(wait_ms);
      await this.socket.say(live(cursor));
    }
  }

  /** Two WebSockets that do not open: the next connection is by SSE, if the ticket has an address for it. */
  async blockWebSockets() {
    for (const _ of [1, 2]) {
      await this.socket.drop();
      await this.clock.run(15_000);
    }
  }
}
