import { PosthornError, refusal } from './error.js';
import type { Host, Link, Wish } from './link.js';
import { address } from './link.js';
import { Timers } from './surroundings.js';
import type { Surroundings, Ticket } from './types.js';

type Answer = Awaited<ReturnType<Surroundings['fetch']>>;

const OPEN_WITHIN_MS = 15_000;
/** The server sends a comment every 15 s at least. */
const SILENCE_MS = 40_000;
/** What a stream brings after this long shows that it lasts. */
const SETTLED_MS = 2_000;
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
  readonly #abort = new AbortController();
  #sent: Wish | null = null;

  constructor(host: Host, ticket: Ticket) {
    this.host = host;
    this.timers = new Timers(host.here);
    this.timers.after('open', OPEN_WITHIN_MS, () => host.lost(this));
    this.#start(this.#abort.signal, ticket);
  }

  /** Makes requests until something ends it. */
  protected abstract run(signal: AbortSignal, ticket: Ticket): Promise<void>;

  close(): void {
    this.timers.cancel();
    this.#abort.abort();
  }

  wake(isOther: boolean): void {
    // Whether a request still lives cannot be asked, and a new one costs little.
    if (isOther) this.host.again(this);
  }

  wished(): void {
    this.host.again(this);
  }

  /** A request is made with the wish if there is one, and its answer says whether it is granted. */
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

  /** It brought something. */
  protected came(within_ms: number): void {
    this.timers.cancel('open');
    this.timers.after('silence', within_ms, () => this.host.lost(this));
  }

  async #start(signal: AbortSignal, ticket: Ticket): Promise<void> {
    const { host } = this;
    try {
      // Who made us has to know us before we tell anything.
      await null;
      await this.run(signal, ticket);
      if (!signal.aborted) host.lost(this);
    } catch (error) {
      if (!signal.aborted) this.#failed(error as PosthornError);
    }
  }

  #failed(error: PosthornError): void {
    const { host } = this;
    // The server's own words: something between us may answer 403 to everything.
    const { code } = error;
    const isRefused = code === 'forbidden';
    if (code === 'bad_cursor' && host.feed.cursor) host.startOver();
    else if (this.#sent && (isRefused || code === 'bad_filter')) host.denied(this.#sent, error);
    else if (isRefused) return host.refused(error);
    else return host.lost(this, error);
    host.again(this);
  }
}

/**
 * Server-Sent Events, read with `fetch`: unlike an `EventSource` it tells with which status it was refused,
 * exists in Node, and does not come back by itself with an address whose ticket has expired.
 */
export class StreamLink extends HttpLink {
  protected override async run(signal: AbortSignal, ticket: Ticket): Promise<void> {
    const { host } = this;
    const { wish, data, feed, here } = host;
    const began = here.now();
    const answer = await this.request(signal, ticket.stream_url!, ticket, {
      data: (wish?.data ?? data) ? 'true' : null,
      last: wish?.last ?? (feed.cursor ? null : feed.last),
    });
    host.replaying(this);
    const onBytes = () => {
      // Only bytes show that nothing between us waits for the end of the answer.
      if (!signal.aborted) this.came(SILENCE_MS);
    };
    for await (const { event, data, id } of messages(answer.body!, onBytes)) {
      if (signal.aborted) return;
      host.proved(this);
      if (here.now() - began > SETTLED_MS) host.settled();
      const message = JSON.parse(data);
      // Every position of the stream is one to go on from, also before ours.
      feed.move(id || message.cursor);
      feed.take(message);
      if (message.type === 'error') throw new PosthornError(message.code, message.message);
      if (message.type === 'live') host.live();
      // A server that hands over again and again has trouble, and is given a pause.
      if (event === 'reconnect') return here.now() - began < HAND_OVER_MS ? undefined : host.again(this);
    }
  }
}

/** The messages of a stream ("Server-sent events", HTML Living Standard); `onBytes` is told of all that comes. */
export async function* messages(
  body: NonNullable<Answer['body']>,
  onBytes: () => void,
): AsyncGenerator<{ event?: string; data: string; id?: string }> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let message: { [field: string]: string } = {};
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    // A CR at the end may be half of a line's end.
    const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === '') {
        const { event, data, id } = message;
        message = {};
        if (data) yield { event, data, id };
        continue;
      }
      const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line)!;
      message[field!] = field === 'data' && message.data ? `${message.data}\n${text}` : text!;
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
      const answer = await this.request(signal, ticket.poll_url!, ticket, { wait: isLive ? WAIT_S : '0', limit: PAGE });
      const page = await answer.json();
      if (signal.aborted) return;
      this.came(POLL_WITHIN_MS);
      if (!isLive) host.replaying(this);
      host.proved(this);
      host.feed.move(page.next);
      host.feed.take({ ...page, replay: true });
      if (page.more) continue;
      host.settled();
      if (!signal.aborted) host.live();
      if (isLive && !page.events.length && now() - asked < POLL_EVERY_MS) {
        await new Promise<void>((done) => this.timers.after('sleep', POLL_EVERY_MS, done));
      }
      isLive = true;
    }
  }
}
