import type { PosthornEvent } from './types.js';

/** Between a connection that brings events and a loop that takes them. */
export class Queue {
  readonly #limit: number;
  readonly #onFull: () => void;
  readonly #onRoom: () => void;
  #batches: { events: PosthornEvent[]; cursor: string | null }[] = [];
  #size = 0;
  #isFull = false;
  #waiting: { resolve: (result: IteratorResult<PosthornEvent[]>) => void; reject: (error: Error) => void }[] = [];
  #isEnded = false;
  #error: Error | null = null;
  /** Where the loop is: the position after the last batch that it took. */
  cursor: string | null;

  /**
   * `onFull` is told when more than `limit` events wait, and has to stop them from coming; `onRoom` when
   * half of them are gone.
   */
  constructor(cursor: string | null, limit: number, onFull: () => void, onRoom: () => void) {
    this.cursor = cursor;
    this.#limit = limit;
    this.#onFull = onFull;
    this.#onRoom = onRoom;
  }

  /** Adds what came, possibly nothing, and the position after it. */
  put(events: PosthornEvent[], cursor: string | null): void {
    if (this.#isEnded) return;
    this.#noLaterThan(cursor);
    const waiting = events.length > 0 && this.#waiting.shift();
    const last = this.#batches.at(-1);
    if (waiting) {
      this.cursor = cursor;
      waiting.resolve({ done: false, value: events });
    } else if (events.length > 0) {
      this.#batches.push({ events, cursor });
      this.#size += events.length;
    } else if (last) last.cursor = cursor;
    else this.cursor = cursor;
    if (this.#size > this.#limit && !this.#isFull) {
      this.#isFull = true;
      this.#onFull();
    }
  }

  clear(): void {
    this.#batches = [];
    this.#size = 0;
    this.cursor = null;
    this.#makeRoom();
  }

  /** No more events come; what waits can still be taken. */
  end(error: Error | null = null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    for (const waiting of this.#waiting.splice(0)) this.#finish(waiting);
  }

  next(): Promise<IteratorResult<PosthornEvent[]>> {
    return new Promise((resolve, reject) => {
      const batch = this.#batches.shift();
      if (batch) {
        this.#size -= batch.events.length;
        this.cursor = batch.cursor;
        resolve({ done: false, value: batch.events });
        this.#makeRoom();
      } else if (this.#isEnded) this.#finish({ resolve, reject });
      else this.#waiting.push({ resolve, reject });
    });
  }

  /** A gap takes the position back, also for what waits. */
  #noLaterThan(cursor: string | null): void {
    const { cursor: newest } = this.#batches.at(-1) ?? this;
    if (cursor === null || newest === null || cursor >= newest) return;
    for (const place of [this, ...this.#batches]) {
      if (place.cursor !== null && place.cursor > cursor) place.cursor = cursor;
    }
  }

  #makeRoom(): void {
    if (!this.#isFull || this.#size * 2 > this.#limit) return;
    this.#isFull = false;
    this.#onRoom();
  }

  #finish({ resolve, reject }: { resolve: (result: IteratorResult<PosthornEvent[]>) => void; reject: (error: Error) => void }): void {
    const error = this.#error;
    this.#error = null;
    if (error) reject(error);
    else resolve({ done: true, value: undefined });
  }
}
