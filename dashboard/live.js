// One WebSocket to the feed: connecting, resuming, pinging, reconnecting.
//
// It knows nothing of the page. It reports events and states through callbacks, and everything it
// takes from its surroundings (sockets, timers, randomness) is handed in, so that it can be tested.

/** How many events the first resume asks for. */
export const FIRST_EVENTS = 200;

const PING_EVERY_MS = 60_000;
const PONG_WITHIN_MS = 10_000;
const OPEN_WITHIN_MS = 15_000;
// A `message` invocation ends after 29 s, so a resume that is silent for longer will not be answered.
const REPLAY_SILENCE_MS = 30_000;
// The server pushes to a list of connections that is up to 1 s old, so a socket may miss what is
// stored in its first second, and what it replays from may lag by seconds. Further resumes after
// these times cover it.
const LOOKS_AFTER_MS = [2_000, 12_000];
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 15_000;

/**
 * The wait before reconnect number `attempt` (from 0): full jitter, so that a thousand pages that lost
 * the same server do not come back in the same moment.
 */
export function reconnectDelay(attempt, random) {
  return random * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 16));
}

/** The earlier of two cursors, either of which may be null. Cursors are ASCII and sort bytewise. */
function earlier(a, b) {
  if (a === null || b === null) return a ?? b;
  return a < b ? a : b;
}

/**
 * A connection that keeps itself alive.
 *
 * Callbacks:
 * - `onEvents(events)`: in any order, possibly known already.
 * - `onState(state)`: `{name}` of `connecting`, `replaying`, `live`, `waiting` (with `until`, epoch
 *   milliseconds), `refused`, `stopped`.
 * - `onLost()`: what was stored while we were away is no longer kept in full.
 * - `onStartOver()`: the server does not know our cursor; what it sends next is another feed.
 *
 * `isRefused()` answers whether the token is refused, which a browser does not tell about a WebSocket.
 */
export class Connection {
  #address;
  #callbacks;
  #isRefused;
  #openSocket;
  #clock;
  #random;

  #socket = null;
  #isOpen = false;
  #attempt = 0;
  #state = { name: 'stopped' };
  #timers = new Map();

  // Everything up to here has been received. `null` until the server told us a position.
  #cursor = null;
  #isResuming = false;
  // A gap that was reported while another resume was running; it is filled afterwards.
  #gap = null;
  #lookIsDue = false;

  constructor({
    address,
    onEvents,
    onState,
    onLost,
    onStartOver,
    isRefused,
    openSocket = (url) => new WebSocket(url),
    clock = globalThis,
    random = Math.random,
  }) {
    this.#address = address;
    this.#callbacks = { onEvents, onState, onLost, onStartOver };
    this.#isRefused = isRefused;
    this.#openSocket = openSocket;
    this.#clock = clock;
    this.#random = random;
  }

  start() {
    if (this.#state.name === 'stopped') this.#connect();
  }

  stop() {
    this.#release();
    this.#enter({ name: 'stopped' });
  }

  /** The network or the tab came back: do not wait any longer, and find out whether the socket lives. */
  wake() {
    if (this.#state.name === 'waiting') {
      this.#attempt = 0;
      this.#connect();
    } else if (this.#isOpen) {
      this.#ping();
    }
  }

  #connect() {
    this.#release();
    this.#enter({ name: 'connecting' });
    let socket;
    try {
      socket = this.#openSocket(this.#address);
    } catch {
      // An address that is no WebSocket address, or a mixed-content refusal.
      this.#wait();
      return;
    }
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (message) => this.#received(message.data);
    socket.onclose = () => this.#lost();
    this.#after('open', OPEN_WITHIN_MS, () => this.#lost());
  }

  #opened() {
    this.#cancel('open');
    this.#isOpen = true;
    this.#enter({ name: 'replaying' });
    this.#resume();
    this.#planLooks();
    this.#after('ping', PING_EVERY_MS, () => this.#ping());
  }

  #lost() {
    const wasOpen = this.#isOpen;
    this.#release();
    this.#wait();
    if (!wasOpen) this.#askWhetherRefused();
  }

  #wait() {
    const delay_ms = reconnectDelay(this.#attempt, this.#random());
    this.#attempt += 1;
    this.#enter({ name: 'waiting', until: this.#clock.Date.now() + delay_ms });
    this.#after('wait', delay_ms, () => this.#connect());
  }

  async #askWhetherRefused() {
    const isRefused = await this.#isRefused();
    const { name } = this.#state;
    if (isRefused && !this.#isOpen && (name === 'waiting' || name === 'connecting')) {
      this.#release();
      this.#enter({ name: 'refused' });
    }
  }

  /** Forgets the socket and all timers. The cursor stays. */
  #release() {
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    const socket = this.#socket;
    this.#socket = null;
    this.#isOpen = false;
    this.#isResuming = false;
    this.#lookIsDue = false;
    if (this.#gap !== null) {
      this.#cursor = earlier(this.#cursor, this.#gap);
      this.#gap = null;
    }
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #received(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    switch (message?.type) {
      case 'events':
        return this.#events(message);
      case 'continue':
        // Given back as it came and not kept: it may lie before our cursor, and is only good for now.
        return this.#resume(message.cursor);
      case 'live':
        return this.#live(message);
      case 'pong':
        return this.#cancel('pong');
      case 'gap':
        this.#cancel('pong');
        return this.#fill(message.cursor);
      case 'error':
        return this.#failed(message.code);
      default:
        // API Gateway itself reports a failed invocation like this, without a type. A resume that
        // died so is caught by its silence; nothing else we send has an answer that matters.
        return undefined;
    }
  }

  #events({ events, replay, cursor }) {
    if (replay === true) {
      this.#advance(cursor);
      this.#expectReplay();
    } else if (!this.#isResuming && typeof cursor === 'string' && cursor > (this.#cursor ?? '')) {
      // Until `live`, what is pushed says nothing about what was stored before it.
      this.#cursor = cursor;
    }
    if (Array.isArray(events)) this.#callbacks.onEvents(events);
  }

  #live({ recovered, cursor }) {
    this.#advance(cursor);
    this.#isResuming = false;
    this.#cancel('replay');
    this.#enter({ name: 'live' });
    if (recovered === false) this.#callbacks.onLost();
    if (this.#gap !== null) {
      const gap = this.#gap;
      this.#gap = null;
      this.#fill(gap);
    } else {
      this.#look();
    }
  }

  #fill(cursor) {
    if (typeof cursor !== 'string') return;
    if (this.#isResuming) {
      this.#gap = earlier(this.#gap, cursor);
      return;
    }
    this.#cursor = cursor;
    // The server counts us in again as slowly as after connecting.
    this.#planLooks();
    this.#enter({ name: 'replaying' });
    this.#resume();
  }

  #planLooks() {
    this.#lookIsDue = false;
    LOOKS_AFTER_MS.forEach((after_ms, index) => {
      this.#after(`look ${index}`, after_ms, () => {
        // It stayed up long enough to call it a success. Starting the back-off anew any earlier would
        // hammer a server that accepts and closes at once.
        this.#attempt = 0;
        this.#lookIsDue = true;
        this.#look();
      });
    });
  }

  /** A further resume of a connection. Nobody needs to see it, so the state stays `live`. */
  #look() {
    if (!this.#lookIsDue || this.#isResuming) return;
    this.#lookIsDue = false;
    this.#resume();
  }

  #failed(code) {
    if (code === 'bad_cursor' && this.#cursor !== null) {
      this.#cursor = null;
      this.#gap = null;
      this.#callbacks.onStartOver();
      this.#enter({ name: 'replaying' });
      this.#resume();
    } else if (this.#isResuming) {
      this.#lost();
    }
  }

  #resume(cursor = this.#cursor) {
    this.#isResuming = true;
    this.#send(
      cursor === null ? { action: 'resume', last: FIRST_EVENTS } : { action: 'resume', cursor },
    );
    this.#expectReplay();
  }

  #expectReplay() {
    if (this.#isResuming) this.#after('replay', REPLAY_SILENCE_MS, () => this.#lost());
  }

  #ping() {
    this.#send({ action: 'ping' });
    this.#after('ping', PING_EVERY_MS, () => this.#ping());
    if (!this.#timers.has('pong')) this.#after('pong', PONG_WITHIN_MS, () => this.#lost());
  }

  #advance(cursor) {
    if (typeof cursor === 'string') this.#cursor = cursor;
  }

  #send(message) {
    // A socket that is closing throws nothing and sends nothing; its close event follows.
    this.#socket?.send(JSON.stringify(message));
  }

  #enter(state) {
    if (state.name === this.#state.name && state.until === this.#state.until) return;
    this.#state = state;
    this.#callbacks.onState(state);
  }

  #after(name, delay_ms, then) {
    this.#cancel(name);
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(name);
      then();
    }, delay_ms);
    this.#timers.set(name, timer);
  }

  #cancel(name) {
    this.#clock.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}
