import { PosthornError, refusal } from './error.js';
import type { Host, Link, Wish } from './link.js';
import { address } from './link.js';
import { Timers } from './surroundings.js';
import type { Surroundings, Ticket } from './types.js';

type Answer = Awaited<ReturnType<Surroundings['fetch']>>;

const OPEN_WITHIN_MS = 15_000;
/** The server sends a comment every 15 s at least. */
const SILENCE_MS = 40_000;
/** How long a stream has to last, at least, to be followed by another at once. */
const HAND_OVER_MS = 5_000;
/** How long the server may hold a poll, in seconds, and how much longer its answer may take. */
const WAIT_S = 20;
const POLL_WITHIN_MS = (WAIT_S + 20) * 1_000;
/** A ticket lasts for 60 s, by a clock that is not ours. */
const TICKET_MS = 40_000;
/** A poll that should have waited and did not is not repeated before this: something between us answers. */
const POLL_EVERY_MS = 1_000;
const PAGE = 1_000;

/** What both ways over plain HTTP have in common: one request after another. */
abstract class HttpLink implements Link {
  protected readonly host: Host;
  protected readonly timers: Timers;
  /** Ends the request that is running. */
  #abort = new AbortController();
  #isClosed = false;
  #sent: Wish | null = null;

  constructor(host: Host, ticket: Ticket) {
    this.host = host;
    this.timers = new Timers(host.here);
    this.#start(ticket);
  }

  /** Makes requests until something ends it. */
  protected abstract run(signal: AbortSignal, ticket: Ticket): Promise<void>;

  close(): void {
    this.#isClosed = true;
    this.timers.cancelAll();
    this.#abort.abort();
  }

  wake(isOther: boolean): void {
    // Whether a request still lives cannot be asked, and a new one costs little.
    if (isOther) this.#restart();
  }

  wished(): void {
    this.#restart();
  }

  /** The first request is made with a wish if there is one, and its answer says whether it is granted. */
  protected async request(signal: AbortSignal, base: string, ticket: Ticket, more: Record<string, string | number | null>): Promise<Answer> {
    const { host } = this;
    const wish = (this.#sent = host.wish);
    const after = wish?.last === undefined ? host.feed.cursor : null;
    const url = address(base, { ticket: ticket.ticket, filter: (wish ?? host).filter, after, ...more });
    const answer = await host.here.fetch(url, { signal });
    if (!answer.ok) throw await refusal(answer);
    if (wish && !signal.aborted) host.granted(wish, wish.filter);
    this.#sent = null;
    return answer;
  }

  protected within(name: string, after_ms: number): void {
    this.timers.after(name, after_ms, () => this.host.lost(this));
  }

  protected sleep(after_ms: number): Promise<void> {
    return new Promise((done) => this.timers.after('sleep', after_ms, done));
  }

  #restart(): void {
    if (this.#isClosed) return;
    this.#abort.abort();
    this.timers.cancelAll();
    this.#start();
  }

  async #start(ticket?: Ticket): Promise<void> {
    const { signal } = (this.#abort = new AbortController());
    try {
      // Who made us has to know us before we tell anything.
      await null;
      if (signal.aborted) return;
      this.within('open', OPEN_WITHIN_MS);
      await this.run(signal, ticket ?? (await this.host.ticket(signal)));
      if (!signal.aborted) this.host.lost(this);
    } catch (error) {
      if (!signal.aborted) this.#failed(error as PosthornError);
    }
  }

  #failed(error: PosthornError): void {
    const { host } = this;
    const sent = this.#sent;
    this.#sent = null;
    // The server's own words: something between us may answer 403 to everything.
    const { code } = error;
    const isRefused = code === 'forbidden';
    if (code === 'bad_cursor' && host.feed.cursor) {
      host.startOver();
      this.#restart();
    } else if (sent && (isRefused || code === 'bad_filter')) {
      host.denied(sent, error);
      this.#restart();
    } else if (isRefused) host.refused(error);
    else host.lost(this, error);
  }
}

/**
 * Server-Sent Events, read with `fetch`: unlike an `EventSource` it tells with which status it was refused,
 * exists in Node, and does not come back by itself with an address whose ticket has expired.
 */
export class StreamLink extends HttpLink {
  protected override async run(signal: AbortSignal, first: Ticket): Promise<void> {
    const { now } = this.host.here;
    for (let ticket = first; ; ticket = await this.host.ticket(signal)) {
      const began = now();
      this.within('open', OPEN_WITHIN_MS);
      const { wish, data, feed } = this.host;
      const answer = await this.request(signal, ticket.stream_url!, ticket, {
        data: (wish?.data ?? data) ? 'true' : null,
        last: wish?.last ?? (feed.cursor ? null : feed.last),
      });
      const isHandedOver = await this.#read(signal, answer);
      // A server that hands over again and again has trouble.
      if (!isHandedOver || now() - began < HAND_OVER_MS) return;
    }
  }

  /** Whether the server asked to come again. */
  async #read(signal: AbortSignal, answer: Answer): Promise<boolean> {
    let isFirst = true;
    for await (const { event, data, id } of messages(answer.body!, () => {
      // Only bytes show that nothing between us waits for the end of the answer.
      if (signal.aborted) return;
      if (isFirst) {
        this.timers.cancel('open');
        this.host.opened(this);
        this.host.enter('replaying');
        this.timers.after('settled', 2_000, () => this.host.settled());
      }
      isFirst = false;
      this.within('silence', SILENCE_MS);
    })) {
      if (signal.aborted) return false;
      this.host.proved();
      const message = data ? JSON.parse(data) : {};
      // Every position of the stream is one to go on from, also before ours.
      this.host.feed.move(id || message.cursor);
      if (event === 'reconnect') return true;
      if (message.type === 'error') throw new PosthornError(message.code, message.message);
      if (message.type === 'live') this.host.live(message.recovered);
      this.host.feed.take(message.events);
    }
    return false;
  }
}

/** The messages of a stream ("Server-sent events", HTML Living Standard); `onBytes` is told of all that comes. */
export async function* messages(
  body: NonNullable<Answer['body']>,
  onBytes: () => void,
): AsyncGenerator<{ event: string; data: string; id: string }> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let message: Record<string, string> = {};
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    // A CR at the end may be half of a line's end.
    const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === '') {
        const { event = 'message', data, id = '' } = message;
        message = {};
        if (data !== undefined) yield { event, data, id };
        continue;
      }
      const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line)!;
      message[field!] = field === 'data' && message.data !== undefined ? `${message.data}\n${text}` : text!;
    }
  }
}

/**
 * Long polls: for networks that let nothing through before it is complete. Without a cursor they begin with
 * the present.
 */
export class PollLink extends HttpLink {
  protected override async run(signal: AbortSignal, first: Ticket): Promise<void> {
    const { host } = this;
    const { now } = host.here;
    let ticket = first;
    let until = now() + TICKET_MS;
    for (let isLive = false; ; ) {
      if (now() > until) {
        ticket = await host.ticket(signal);
        until = now() + TICKET_MS;
      }
      const asked = now();
      this.within('poll', POLL_WITHIN_MS);
      const answer = await this.request(signal, ticket.poll_url!, ticket, { wait: isLive ? WAIT_S : '0', limit: PAGE });
      const { events, next, more, recovered } = await answer.json();
      if (signal.aborted) return;
      this.timers.cancel('open');
      host.opened(this);
      host.proved();
      if (!isLive || recovered === false) host.enter('replaying');
      host.feed.move(next);
      host.feed.take(events);
      if (signal.aborted) return;
      if (more) continue;
      host.settled();
      host.live(recovered);
      if (isLive && events.length === 0 && now() - asked < POLL_EVERY_MS) await this.sleep(POLL_EVERY_MS);
      isLive = true;
    }
  }
}
