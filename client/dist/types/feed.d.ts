import { Queue } from './queue.js';
import type { PosthornEvent } from './types.js';
/** Ids that were seen, the newest 10,000 at least and 20,000 at most. */
export declare class Seen {
    #private;
    constructor(limit?: number);
    /** Whether the id is new. */
    add(id: string): boolean;
    clear(): void;
}
/** How far we are in the feed, and the way of its events to whoever takes them. */
export declare class Feed {
    #private;
    /** Everything up to here was received. Null until the server told a position. */
    cursor: string | null;
    /** How many events to begin with where there is no cursor. */
    last: number;
    /** For `for await`; none where there is a callback. */
    readonly queue: Queue | null;
    constructor(cursor: string | null, last: number, onEvents: ((events: PosthornEvent[]) => void) | undefined, queue: Queue | null);
    /** What was handed over: a loop may be behind what was received. */
    get taken(): string | null;
    /** Moves on, never back. Cursors are ASCII, so comparing UTF-16 units compares bytes. */
    advance(cursor: unknown): void;
    /** Moves, back as well. */
    move(cursor: unknown): void;
    /** Hands on those that were not seen before. Comes after the move: the position belongs to the events. */
    take(events?: unknown): void;
    /** Begins anew with the newest events, so many. */
    reset(last: number): void;
}
