import type { PosthornEvent } from './types.js';

/** Between a connection that brings events and a loop that takes them. */
export class Queue {
  readonly #limit: number;
  readonly #onFull: () => void;
  readonly #onRoom: () => void;
  #batches: { events: PosthornEvent[]; cursor: string | null }[] = [];
  #size = 0;
  #isFull = false;
  /** Wakes those who wait in `next`. */
  #wakes: (() => void)[] = [];
  #isEnded = false;
  #error: Error | null = null;
  /** Where the loop is: the position after the last batch that it took. */
  cursor: string | null;

  /**
   * `onFull` is told with each batch while more than `limit` events wait, and has to stop them from coming:
   * they may have been let in again for another reason. `onRoom` is told when half of them are gone.
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
    const last = this.#batches.at(-1);
    if (events.length) {
      this.#batches.push({ events, cursor });
      this.#size += events.length;
      this.#wake();
      if (this.#size <= this.#limit) return;
      this.#isFull = true;
      this.#onFull();
    } else if (last) last.cursor = cursor;
    else this.cursor = cursor;
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
    this.#wake();
  }

  /** The next batch, as soon as there is one; none at the end. */
  async next(): Promise<PosthornEvent[] | undefined> {
    for (;;) {
      const batch = this.#batches.shift();
      if (batch) {
        this.#size -= batch.events.length;
        this.cursor = batch.cursor;
        this.#makeRoom();
        return batch.events;
      }
      if (this.#error) throw this.#error;
      if (this.#isEnded) return;
      await new Promise<void>((wake) => this.#wakes.push(wake));
    }
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }

  /** A gap takes the position back, also for what waits. */
  #noLaterThan(cursor: string | null): void {
    const { cursor: newest } = this.#batches.at(-1) ?? this;
    if (!cursor || !newest || cursor >= newest) return;
    for (const place of [this, ...this.#batches]) {
      if (place.cursor && place.cursor > cursor) place.cursor = cursor;
    }
  }

  #makeRoom(): void {
    if (!this.#isFull || this.#size * 2 > this.#limit) return;
    this.#isFull = false;
    this.#onRoom();
  }
}
