import type { PosthornEvent } from './types.js';
/** Between a connection that brings events and a loop that takes them. */
export declare class Queue {
    #private;
    /** Where the loop is: the position after the last batch that it took. */
    cursor: string | null;
    /**
     * `onFull` is told with each batch while more than `limit` events wait, and has to stop them from coming:
     * they may have been let in again for another reason. `onRoom` is told when half of them are gone.
     */
    constructor(cursor: string | null, limit: number, onFull: () => void, onRoom: () => void);
    /** Adds what came, possibly nothing, and the position after it. */
    put(events: PosthornEvent[], cursor: string | null): void;
    clear(): void;
    /** No more events come; what waits can still be taken. */
    end(error?: Error | null): void;
    /** The next batch, as soon as there is one; none at the end. */
    next(): Promise<PosthornEvent[] | undefined>;
}
