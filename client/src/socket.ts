import { PosthornError } from './error.js';
import type { Host, Link, Wish } from './link.js';
import { address } from './link.js';
import { Timers } from './surroundings.js';
import type { SocketLike, Ticket } from './types.js';

/** A network that drops packets instead of refusing them shows by silence. */
const OPEN_WITHIN_MS = 15_000;
const PING_EVERY_MS = 60_000;
const PONG_WITHIN_MS = 10_000;
/** Somebody may be looking at the page. */
const PONG_AFTER_WAKING_MS = 4_000;
/** A `message` invocation ends after 29 s: what is silent for longer will not be answered. */
const SILENCE_MS = 30_000;
/**
 * The server pushes to a list of connections that is up to 1 s old, so a socket may miss what is stored
 * in its first second, and the index that a replay reads may lag by seconds: further looks cover both.
 */
const LOOKS_AFTER_MS = [2_000, 12_000];
/** No look is further off than this, whatever the clock says. */
const BETWEEN_LOOKS_MS = 10_000;

/** API Gateway refuses addresses of more than 4,096 characters, and a page cannot see why. */
const LONGEST_URL = 4_000;

/** How long a subscription waits for a resume to end. */
const PATIENCE_MS = 1_000;

/** The codes that refuse a subscription. */
const DENIALS = /^(bad_filter|forbidden|bad_request)$/;

interface Message {
  events?: unknown;
  replay?: boolean;
  recovered?: boolean;
  cursor?: string;
}

/** The earlier of two cursors. */
function earlier(a: string | null, b: string): string {
  return a && a < b ? a : b;
}

/** One WebSocket (docs/API.md, "Rules for a client that misses nothing"). */
export class SocketLink implements Link {
  readonly #host: Host;
  readonly #timers: Timers;
  #socket: SocketLike | null = null;
  #isOpen = false;
  #isResuming = false;
  /** Reported while a resume was running; filled after it. */
  #gap: string | null = null;
  /** When the further looks are due. While there are any, live events do not move the cursor. */
  #looks: number[] = [];
  /** What is in force stands not in the address, or not all of it, and this server has not heard it yet. */
  #isUntold: boolean;
  /** The subscription that waits for its answer. */
  #sent: Wish | null = null;
  /** Live events may still be those of another filter. The next look brings what is left out. */
  #isMuted = false;

  constructor(host: Host, ticket: Ticket) {
    this.#host = host;
    this.#timers = new Timers(host.here);
    this.#isUntold = host.data;
    try {
      let url = address(ticket.url, { filter: host.filter });
      if (url.length > LONGEST_URL) {
        url = ticket.url;
        this.#isUntold = true;
      }
      const socket = new host.here.WebSocket!(url);
      this.#socket = socket;
      socket.onopen = () => this.#opened();
      socket.onmessage = (message) => this.#received(message.data);
      // An error is always followed by a close.
      socket.onclose = () => this.#lost();
      this.#timers.after('open', OPEN_WITHIN_MS, () => this.#lost());
    } catch (error) {
      // No WebSocket address, or a page over https that asks for ws.
      this.#timers.after('open', 0, () => this.#lost(error as Error));
    }
  }

  close(): void {
    this.#timers.cancel();
    const socket = this.#socket;
    this.#socket = null;
    this.#goBack();
    if (!socket) return;
    // Closing a socket that is not open yet is an error, which somebody has to take.
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {};
    socket.close();
  }

  wake(): void {
    if (this.#isOpen) this.#ping(PONG_AFTER_WAKING_MS);
  }

  wished(): void {
    if (!this.#isOpen || this.#sent) return;
    if (!this.#isResuming) return this.#subscribe();
    // What runs under the filter before has to end first, as its events do not say for which it is; or
    // somebody waits who looks at the page, and another connection is faster.
    this.#timers.after('patience', PATIENCE_MS, () => this.#host.again(this));
  }

  #opened(): void {
    this.#timers.cancel('open');
    this.#isOpen = true;
    this.#timers.after('ping', PING_EVERY_MS, () => this.#ping());
    this.#tellOrBegin();
  }

  #tellOrBegin(): void {
    if (this.#host.wish || this.#isUntold) this.#subscribe();
    else this.#begin();
  }

  #begin(): void {
    this.#host.replaying(this);
    this.#resume();
    this.#planLooks();
  }

  #subscribe(): void {
    const { wish, filter, data } = this.#host;
    this.#sent = wish ?? { filter, data, last: undefined };
    this.#isMuted = true;
    this.#timers.cancel('look', 'patience');
    this.#send({ action: 'subscribe', filter: this.#sent.filter, data: this.#sent.data });
    this.#timers.after('subscribe', SILENCE_MS, () => this.#lost());
  }

  #received(text: string): void {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    // API Gateway itself reports a failed invocation, without a type. A resume that died so is caught
    // by its silence.
    if (typeof message?.type !== 'string') return;
    this.#host.proved(this);
    switch (message.type) {
      case 'events':
        return this.#events(message);
      case 'continue':
        return this.#continue(message.cursor);
      case 'live':
        return this.#live(message);
      case 'subscribed':
        return this.#subscribed(message.filter);
      case 'pong':
        return this.#timers.cancel('pong');
      case 'gap':
        this.#timers.cancel('pong');
        return this.#fill(message.cursor);
      case 'error':
        return this.#failed(message.code, message.message);
    }
  }

  #events(message: Message): void {
    const { replay, cursor } = message;
    const { feed } = this.#host;
    const isMuted = this.#isMuted;
    // Timers are late in a hidden tab; messages are not. Before the cursor moves on: what was missed
    // at the beginning has to be looked for from here.
    this.#look();
    if (replay) {
      feed.advance(cursor);
      this.#expectReplay();
    } else {
      if (isMuted) return;
      // Until `live`, what is pushed says nothing about what was stored before it; and until the last
      // look, something before it may have been missed.
      if (!this.#isResuming && this.#looks.length === 0) feed.advance(cursor);
    }
    feed.take(message);
  }

  #continue(cursor: string): void {
    if (this.#host.wish) {
      this.#isResuming = false;
      return this.#subscribe();
    }
    // Given back as it came and not kept: it may lie before our cursor, and is only good for now.
    this.#resume(cursor);
  }

  #live(message: Message): void {
    this.#isResuming = false;
    this.#timers.cancel('replay');
    this.#host.feed.move(message.cursor);
    this.#host.feed.take(message);
    this.#host.live();
    // Whoever is told may have closed us.
    if (!this.#socket) return;
    const gap = this.#gap;
    this.#gap = null;
    if (gap) this.#fill(gap);
    else if (this.#host.wish && !this.#sent) this.#subscribe();
    else this.#look();
  }

  #fill(cursor: string): void {
    if (this.#isResuming || this.#sent) {
      this.#gap = earlier(this.#gap, cursor);
      return;
    }
    // Even if it is before our own.
    this.#host.feed.move(cursor);
    this.#host.feed.take();
    // The server counts us in again as slowly as after connecting.
    this.#begin();
  }

  #subscribed(filter: string): void {
    const sent = this.#sent;
    if (!sent) return;
    this.#isUntold = false;
    this.#answered(() => this.#host.granted(sent, filter));
  }

  #answered(tell: () => void): void {
    this.#sent = null;
    this.#timers.cancel('subscribe');
    tell();
    // Whoever was told may have closed us.
    if (!this.#socket) return;
    this.#goBack();
    this.#tellOrBegin();
  }

  /** To where a gap began that is still to be filled. Where everything begins anew there is none. */
  #goBack(): void {
    const { feed } = this.#host;
    if (this.#gap && feed.cursor) {
      feed.move(earlier(feed.cursor, this.#gap));
      feed.take();
    }
    this.#gap = null;
  }

  #failed(code: string, message: string): void {
    const sent = this.#sent;
    // What was in force before and is denied now is a failure like any other.
    if (sent && this.#host.wish && DENIALS.test(code)) {
      this.#answered(() => this.#host.denied(sent, new PosthornError(code, message)));
    } else if (code === 'bad_cursor' && this.#host.feed.cursor) {
      this.#gap = null;
      this.#host.startOver();
      if (this.#socket) this.#begin();
    } else if (sent || this.#isResuming) this.#lost(new PosthornError(code, message));
  }

  #planLooks(): void {
    const now = this.#host.here.now();
    this.#looks = LOOKS_AFTER_MS.map((after_ms) => now + after_ms);
    this.#awaitLook();
  }

  #awaitLook(): void {
    const [due] = this.#looks;
    if (!due) return;
    this.#timers.after('look', Math.min(due - this.#host.here.now(), BETWEEN_LOOKS_MS), () => {
      // By the timer it is due, and stays so, even if the clock was set back.
      this.#looks[0] = 0;
      this.#look();
    });
  }

  /** A further resume if it is time for one. Nobody needs to see it, so the state stays `live`. */
  #look(): void {
    const now = this.#host.here.now();
    const later = this.#looks.filter((due) => due > now);
    if (later.length === this.#looks.length) return;
    // A reconnect that has lasted until here was a success. Starting the back-off anew any earlier
    // would hammer a server that accepts and closes at once.
    this.#host.settled();
    if (this.#isResuming || this.#sent) return;
    this.#looks = later;
    this.#isMuted = false;
    this.#resume();
    this.#awaitLook();
  }

  #resume(cursor: string | null = this.#host.feed.cursor): void {
    this.#isResuming = true;
    this.#send({ action: 'resume', ...(cursor ? { cursor } : { last: this.#host.feed.last }) });
    this.#expectReplay();
  }

  #expectReplay(): void {
    if (this.#isResuming) this.#timers.after('replay', SILENCE_MS, () => this.#lost());
  }

  #ping(within_ms = PONG_WITHIN_MS): void {
    this.#send({ action: 'ping' });
    this.#timers.after('ping', PING_EVERY_MS, () => this.#ping());
    if (!this.#timers.has('pong')) this.#timers.after('pong', within_ms, () => this.#lost());
  }

  #send(message: object): void {
    // A socket that is closing throws nothing and sends nothing; its close event follows.
    this.#socket?.send(JSON.stringify(message));
  }

  #lost(error?: Error): void {
    this.#host.lost(this, error);
  }
}
