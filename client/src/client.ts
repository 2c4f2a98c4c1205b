import { PosthornError, refusal } from './error.js';
import { Feed } from './feed.js';
import { PollLink, StreamLink } from './http.js';
import type { Host, Link, Wish } from './link.js';
import { Queue } from './queue.js';
import { SocketLink } from './socket.js';
import { Timers, surroundings, tell } from './surroundings.js';
import type { Options, PosthornClient, PosthornEvent, ResetReason, State, Subscription, Surroundings, Ticket, TicketResponse, Transport } from './types.js';

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 15_000;
const TICKET_WITHIN_MS = 15_000;
/** So many failures in a row of a transport, while tickets are answered, make us try the next one. */
const FAILURES = 2;
/** On a fallback: after how long the WebSocket is tried again, and up to twice that. */
const PROBE_AFTER_MS = 5 * 60_000;
const PAUSE_HIDDEN_MS = 5 * 60_000;
/**
 * A clock that moved on by so much more than a timer was set to says that the computer slept. Browsers
 * let the timers of hidden tabs wait for a minute.
 */
const TICK_MS = 10_000;
const SLEPT_MS = 80_000;

const LINKS = { websocket: SocketLink, sse: StreamLink, poll: PollLink };

const closed = (): PosthornError => new PosthornError('stopped', 'closed');

type Name = State['name'];
type More<N extends Name> = Omit<Extract<State, { name: N }>, 'name' | 'transport'>;

/**
 * A feed that keeps itself alive and complete: gets tickets, chooses the transport, decides when to connect
 * and when not to. What is said on a connection is the links' part. Users see it as a {@link PosthornClient}.
 */
class Client implements PosthornClient, Host {
  readonly #options: Options;
  readonly here: Surroundings;
  readonly #timers: Timers;
  readonly feed: Feed;
  readonly #transports: readonly Transport[];

  #state: State;
  filter = '';
  data = false;
  /** Asked for and not in force. The one that the options began with has nobody who waits for it. */
  wish: (Wish & { resolve?: (filter: string) => void; reject?: (error: Error) => void }) | null = null;

  #link: Link | null = null;
  /** A WebSocket that is tried while a fallback runs. */
  #probe: Link | null = null;
  /** Ends a wait for a ticket. */
  #abort: AbortController | null = null;
  #transport: Transport;
  #failures = 0;
  #attempt = 0;
  #tickedAt = 0;

  constructor(options: Options) {
    this.#options = options;
    this.here = surroundings(options.surroundings);
    this.#timers = new Timers(this.here);
    this.#transports = options.transports ?? ['websocket', 'sse', 'poll'];
    this.#transport = this.#transports[0]!;
    this.#state = { name: 'connecting', transport: this.#transport };
    const cursor = options.cursor ?? null;
    const queue = options.onEvents ? null : new Queue(cursor, options.buffer ?? 10_000, () => this.#pause('full'), () => this.#hasRoom());
    this.feed = new Feed(cursor, options.last ?? 100, options.onEvents, queue);
    const { filter = '', data = false } = options;
    if (filter || data) this.wish = { filter, data, last: undefined };
    // Whoever is told of the first state already has the client.
    queueMicrotask(() => this.#begin());
  }

  get state(): State {
    return this.#state;
  }

  get cursor(): string | null {
    // A loop may be behind what was received.
    return (this.feed.queue ?? this.feed).cursor;
  }

  subscribe({ filter = '', data = false, last }: Subscription = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#state.name === 'stopped') return reject(closed());
      this.wish?.reject?.(new PosthornError('superseded', 'superseded'));
      this.wish = { filter, data, last, resolve, reject };
      this.#link?.wished();
    });
  }

  pause(): void {
    this.#pause('asked');
  }

  start(): void {
    if (!/^(paused|waiting|refused)/.test(this.#state.name)) return;
    this.#attempt = 0;
    this.#connect();
  }

  close(): void {
    if (this.#state.name === 'stopped') return;
    this.#release();
    this.#timers.cancel();
    this.#listen('removeEventListener');
    this.enter('stopped');
    this.wish?.reject?.(closed());
    this.wish = null;
    this.feed.queue?.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<PosthornEvent[], void, void> {
    const { queue } = this.feed;
    if (!queue) throw new TypeError('onEvents takes them');
    try {
      for (let events; (events = await queue.next()); ) yield events;
    } finally {
      this.close();
    }
  }

  #begin(): void {
    const { signal } = this.#options;
    if (this.#state.name === 'stopped') return;
    if (signal?.aborted) return this.close();
    signal?.addEventListener('abort', () => this.close());
    this.#listen('addEventListener');
    this.#visibilityChanged();
    this.#tickedAt = this.here.now();
    this.#tick();
    if (this.#state.name === 'connecting') this.#connect();
  }

  async #connect(state: 'connecting' | 'live' = 'connecting'): Promise<void> {
    this.#release();
    this.enter(state);
    const abort = (this.#abort = new AbortController());
    this.#timers.after('ticket', TICKET_WITHIN_MS, () => this.#wait());
    let ticket;
    try {
      ticket = await this.ticket(abort.signal);
    } catch (error) {
      if (!abort.signal.aborted) this.#noTicket(error as Error);
      return;
    }
    if (abort.signal.aborted) return;
    this.#timers.cancel('ticket');
    this.#open(ticket);
  }

  #open(ticket: Ticket): void {
    const usable = this.#usable(ticket);
    const { length } = usable;
    if (length === 0) return this.#wait(new PosthornError('no_transport', 'no transport'));
    let index = Math.max(0, usable.indexOf(this.#transport));
    if (this.#failures >= FAILURES) {
      index += 1;
      this.#failures = 0;
    }
    // Until it has brought something.
    this.#failures += 1;
    this.#transport = usable[index % length]!;
    if (this.#state.name === 'connecting') this.enter('connecting');
    this.#link = new LINKS[this.#transport](this, ticket);
  }

  #usable({ url, stream_url, poll_url }: Ticket): Transport[] {
    const addresses = { websocket: this.here.WebSocket && url, sse: stream_url, poll: poll_url };
    return this.#transports.filter((transport) => addresses[transport]);
  }

  async ticket(signal: AbortSignal): Promise<Ticket> {
    const answer = (await this.#options.ticket({ signal })) as Ticket & Partial<TicketResponse>;
    if (!answer.json) return answer;
    if (!answer.ok) throw await refusal(answer as TicketResponse);
    return (await answer.json()) as Ticket;
  }

  #noTicket(error: Error & { status?: number; code?: string }): void {
    const { status, code = 'unauthorized', message } = error;
    if (status !== 401 && status !== 403) return this.#wait(error);
    this.refused(new PosthornError(code, message, status));
  }

  proved(link: Link): void {
    this.#failures = 0;
    if (link === this.#probe) {
      // It has not just opened: there are networks that let a WebSocket open and nothing through it.
      this.#probe = null;
      this.#link?.close();
      this.#link = link;
      this.#transport = 'websocket';
      this.#timers.cancel('probe');
      this.enter('replaying');
    }
    if (this.#transport === 'websocket' || this.#timers.has('probe') || this.#probe) return;
    this.#timers.after('probe', PROBE_AFTER_MS * (1 + this.here.random()), () => this.#tryWebSocket());
  }

  async #tryWebSocket(): Promise<void> {
    const { signal } = (this.#abort = new AbortController());
    try {
      const ticket = await this.ticket(signal);
      if (!signal.aborted && this.#usable(ticket).includes('websocket')) this.#probe = new SocketLink(this, ticket);
    } catch {
      // The fallback runs; it will find out what is wrong if it lasts.
    }
  }

  again(link: Link): void {
    // One that is live and hands over to the next stays so.
    if (link === this.#link) this.#connect(this.#state.name === 'live' ? 'live' : 'connecting');
  }

  lost(link: Link, error?: Error): void {
    if (link === this.#link) return this.#wait(error);
    // A WebSocket that was tried.
    link.close();
    this.#probe = null;
  }

  #wait(error?: Error): void {
    this.#release();
    // Full jitter, so that a thousand pages that lost the same server do not come back in the same moment.
    const delay_ms = this.here.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempt++);
    this.#timers.after('wait', delay_ms, () => this.#connect());
    this.enter('waiting', { until: this.here.now() + delay_ms, error });
  }

  refused(error: PosthornError): void {
    this.#release();
    this.enter('refused', { error });
    this.feed.queue?.end(error);
  }

  #pause(why: 'hidden' | 'asked' | 'full'): void {
    // A reason that lasts is not replaced by one that passes.
    if (/^(stopped|refused)/.test(this.#state.name) || this.#isPaused('asked')) return;
    this.#release();
    this.enter('paused', { why });
  }

  /** Only a pause has a reason. */
  #isPaused(why: 'hidden' | 'asked' | 'full'): boolean {
    return (this.#state as { why?: string }).why === why;
  }

  #hasRoom(): void {
    if (this.#isPaused('full')) this.start();
  }

  granted(wish: Wish, filter: string): void {
    this.filter = filter;
    this.data = wish.data;
    if (wish.last !== undefined) this.#reset('filter', wish.last);
    if (wish !== this.wish) return;
    this.wish.resolve?.(filter);
    this.wish = null;
  }

  denied(wish: Wish, error: PosthornError): void {
    if (wish !== this.wish) return;
    // What the options asked for: there is nothing to fall back to. It stays asked for.
    if (!this.wish.reject) return this.refused(error);
    this.wish.reject(error);
    this.wish = null;
  }

  startOver(): void {
    this.#reset('bad_cursor', this.feed.last);
  }

  settled(): void {
    this.#attempt = 0;
  }

  replaying(link: Link): void {
    if (link === this.#link) this.enter('replaying');
  }

  live(): void {
    const isLossy = this.feed.replayed();
    this.enter('live');
    if (isLossy) tell(this.#options.onLost);
  }

  #reset(why: ResetReason, last: number): void {
    this.feed.reset(last);
    tell(this.#options.onReset, why);
  }

  /** Forgets the connection and what was planned for it. The position stays. */
  #release(): void {
    this.#timers.cancel('ticket', 'wait', 'probe');
    this.#abort?.abort();
    this.#abort = null;
    for (const link of [this.#link, this.#probe]) link?.close();
    this.#link = this.#probe = null;
  }

  enter<N extends Name>(name: N, more?: More<N>): void {
    const before = this.#state;
    if (before.name === name && before.transport === this.#transport && !more) return;
    this.#state = { name, transport: this.#transport, ...more } as unknown as State;
    tell(this.#options.onState, this.#state);
  }

  /** `isOther`: the network may be another one, or its connections may be dead without a word. */
  #wake(isOther: boolean): void {
    this.#tickedAt = this.here.now();
    if (this.#state.name === 'waiting') this.start();
    else this.#link?.wake(isOther);
  }

  #tick(): void {
    const now = this.here.now();
    const hasSlept = now - this.#tickedAt > TICK_MS + SLEPT_MS;
    if (hasSlept) this.#wake(true);
    this.#tickedAt = now;
    this.#timers.after('tick', TICK_MS, () => this.#tick());
  }

  readonly #visibilityChanged = (): void => {
    const { document } = this.here;
    const grace_ms = this.#options.pauseHidden ?? PAUSE_HIDDEN_MS;
    if (document?.hidden) {
      if (grace_ms !== false) this.#timers.after('hidden', grace_ms, () => this.#pause('hidden'));
      return;
    }
    this.#timers.cancel('hidden');
    if (this.#isPaused('hidden')) this.start();
    else if (document) this.#wake(false);
  };

  /** The network changed, a frozen page goes on, or one comes back from the history. */
  readonly #cameBack = ({ persisted }: { persisted?: boolean }): void => {
    // `pageshow` also tells that the page was loaded.
    if (persisted !== false) this.#wake(true);
  };

  #listen(how: 'addEventListener' | 'removeEventListener'): void {
    const { document, window } = this.here;
    document?.[how]('visibilitychange', this.#visibilityChanged);
    document?.[how]('resume', this.#cameBack);
    window?.[how]('pageshow', this.#cameBack);
    window?.[how]('online', this.#cameBack);
  }
}

/** Connects to a feed and stays connected until `close()`. */
export function connect(options: Options): PosthornClient {
  return new Client(options);
}
