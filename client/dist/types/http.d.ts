import type { Host, Link } from './link.js';
import { Timers } from './surroundings.js';
import type { Surroundings, Ticket } from './types.js';
type Answer = Awaited<ReturnType<Surroundings['fetch']>>;
/** What both ways over plain HTTP have in common: one request after another. */
declare abstract class HttpLink implements Link {
    #private;
    protected readonly host: Host;
    protected readonly timers: Timers;
    constructor(host: Host, ticket: Ticket);
    /** Makes requests until something ends it. */
    protected abstract run(signal: AbortSignal, ticket: Ticket): Promise<void>;
    close(): void;
    wake(isOther: boolean): void;
    wished(): void;
    /** A request is made with the wish if there is one, and its answer says whether it is granted. */
    protected request(signal: AbortSignal, base: string, ticket: Ticket, more: Record<string, string | number | null>): Promise<Answer>;
    /** It brought something. */
    protected came(within_ms: number): void;
}
/**
 * Server-Sent Events, read with `fetch`: unlike an `EventSource` it tells with which status it was refused,
 * exists in Node, and does not come back by itself with an address whose ticket has expired.
 */
export declare class StreamLink extends HttpLink {
    protected run(signal: AbortSignal, ticket: Ticket): Promise<void>;
}
/** The messages of a stream ("Server-sent events", HTML Living Standard); `onBytes` is told of all that comes. */
export declare function messages(body: NonNullable<Answer['body']>, onBytes: () => void): AsyncGenerator<{
    event?: string;
    data: string;
    id?: string;
}>;
/**
 * Long polls: for networks that let nothing through before it is complete. Without a cursor they begin with
 * the present.
 */
export declare class PollLink extends HttpLink {
    protected run(signal: AbortSignal, first: Ticket): Promise<void>;
}
export {};
