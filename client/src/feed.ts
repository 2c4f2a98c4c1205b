import { Queue } from './queue.js';
import { tell } from './surroundings.js';
import type { PosthornEvent } from './types.js';

/**
 * How many ids each of the two generations holds. A resume reads back 15 s and the last of them
 * comes 12 s after connecting, so this is enough for several hundred events a second.
 */
const IDS = 10_000;

/** As much of a message as is needed here. */
interface Part {
  events?: unknown;
  replay?: boolean;
  recovered?: boolean;
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
  /** The cursors of the first replay while it runs, if it asked for the newest events. */
  #first: string[] | null;
  /** A later replay reads further back than what it follows, and finds what was not asked for: from before here. */
  #beginning = '';
  /** What was missed is not kept in full. The replay that says so may be cut off, and those after it know nothing of it. */
  #isLossy = false;
  #young = new Set<string>();
  #old = new Set<string>();

  constructor(cursor: string | null, last: number, onEvents: ((events: PosthornEvent[]) => void) | undefined, queue: Queue | null) {
    this.cursor = cursor;
    this.last = last;
    this.#first = cursor ? null : [];
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
  take({ events, replay, recovered }: Part = {}): void {
    if (recovered === false) this.#isLossy = true;
    const all = Array.isArray(events) ? events : [];
    const fresh = all.filter((event) => {
      if (typeof event?.id !== 'string') return false;
      if (replay) this.#first?.push(event.cursor);
      return !(replay && event.cursor < this.#beginning) && this.#isNew(event.id);
    });
    if (this.queue) this.queue.put(fresh, this.cursor);
    else if (fresh.length) tell(this.#onEvents, fresh);
  }

  /** A replay is over. Answers whether some of what it should have had is not kept any more. */
  replayed(): boolean {
    const first = this.#first?.sort();
    // With fewer than it asked for there is no beginning: another may come late.
    if (first && first.length >= this.last) [this.#beginning = ''] = first;
    this.#first = null;
    const isLossy = this.#isLossy;
    this.#isLossy = false;
    return isLossy;
  }

  /** Begins anew with the newest events, so many. */
  reset(last: number): void {
    this.cursor = null;
    this.last = last;
    this.#first = [];
    this.#beginning = '';
    this.#isLossy = false;
    this.#young = new Set();
    this.#old = new Set();
    this.queue?.clear();
  }

  /** Remembers the newest 10,000 ids at least, and 20,000 at most. */
  #isNew(id: string): boolean {
    if (this.#young.has(id)) return false;
    const isNew = !this.#old.has(id);
    if (this.#young.size >= IDS) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(id);
    return isNew;
  }
}
