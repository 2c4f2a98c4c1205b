import { Queue } from './queue.js';
import type { PosthornEvent } from './types.js';
/** As much of a message as is needed here. */
interface Part {
    events?: unknown;
    replay?: boolean;
    recovered?: boolean;
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
    /** Moves on, never back. Cursors are ASCII, so comparing UTF-16 units compares bytes. */
    advance(cursor: unknown): void;
    /** Moves, back as well. */
    move(cursor: unknown): void;
    /** Hands on those that were not seen before. Comes after the move: the position belongs to the events. */
    take({ events, replay, recovered }?: Part): void;
    /** A replay is over. Answers whether some of what it should have had is not kept any more. */
    replayed(): boolean;
    /** Begins anew with the newest events, so many. */
    reset(last: number): void;
}
export {};
