import { Queue } from './queue.js';
import type { PosthornEvent } from './types.js';

/**
 * How many ids each of the two generations remembers. A resume reads back 15 s and the last of them
 * comes 12 s after connecting, so this is enough for several hundred events a second.
 */
const IDS = 10_000;

/** Ids that were seen, the newest 10,000 at least and 20,000 at most. */
export class Seen {
  readonly #limit: number;
  #young = new Set<string>();
  #old = new Set<string>();

  constructor(limit = IDS) {
    this.#limit = limit;
  }

  /** Whether the id is new. */
  add(id: string): boolean {
    if (this.#young.has(id)) return false;
    const isNew = !this.#old.has(id);
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(id);
    return isNew;
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}

/** How far we are in the feed, and the way of its events to whoever takes them. */
export class Feed {
  /** Everything up to here was received. Null until the server told a position. */
  cursor: string | null;
  /** How many events to begin with where there is no cursor. */
  last: number;
  /** For `for await`; none where there is a callback. */
  readonly queue: Queue | null;
  readonly #onEvents: ((events: PosthornEvent[]) => void) | undefined;
  readonly #seen = new Seen();

  constructor(cursor: string | null, last: number, onEvents: ((events: PosthornEvent[]) => void) | undefined, queue: Queue | null) {
    this.cursor = cursor;
    this.last = last;
    this.queue = queue;
    this.#onEvents = onEvents;
  }

  /** Moves on, never back. Cursors are ASCII, so comparing UTF-16 units compares bytes. */
  advance(cursor: unknown): void {
    if (typeof cursor === 'string' && cursor > (this.cursor ?? '')) this.move(cursor);
  }

  /** Moves, back as well. */
  move(cursor: unknown): void {
    if (typeof cursor === 'string') this.cursor = cursor;
  }

  /** Hands on those that were not seen before. Comes after the move: the position belongs to the events. */
  take(events: unknown = []): void {
    const all = Array.isArray(events) ? events : [];
    const fresh = all.filter((event) => typeof event?.id === 'string' && this.#seen.add(event.id));
    if (this.queue) this.queue.put(fresh, this.cursor);
    else if (fresh.length) this.#onEvents?.(fresh);
  }

  /** Begins anew with the newest events, so many. */
  reset(last: number): void {
    this.cursor = null;
    this.last = last;
    this.#seen.clear();
    this.queue?.clear();
  }
}
