import type { PosthornError } from './error.js';
import type { Feed } from './feed.js';
import type { Surroundings, Ticket } from './types.js';
/** A subscription that was asked for and is not in force yet. */
export interface Wish {
    filter: string;
    data: boolean;
    last: number | undefined;
}
/** One connection over one transport. It tells what happens to its host, which decides what follows. */
export interface Link {
    /** Ends it. It tells nothing any more. */
    close(): void;
    /** The computer slept, the network changed or the tab came to the front: find out whether it lives. */
    wake(isOther: boolean): void;
    /** The host's wish has changed. */
    wished(): void;
}
/** What a connection knows of the client, and what it tells it. */
export interface Host {
    readonly here: Surroundings;
    readonly feed: Feed;
    /** What is asked for beside what is in force. */
    readonly wish: Wish | null;
    /** In force, as far as the server said. */
    readonly filter: string;
    readonly data: boolean;
    /** A ticket that was not used yet. */
    ticket(signal: AbortSignal): Promise<Ticket>;
    /** It brought something that only our server can have said. */
    proved(link: Link): void;
    /** It stood for long enough to be called a success. */
    settled(): void;
    /** It asks for what was missed. */
    replaying(link: Link): void;
    live(): void;
    /** The server took the wish, and says the filter in its own words. */
    granted(wish: Wish, filter: string): void;
    denied(wish: Wish, error: PosthornError): void;
    /** The server does not know our cursor. */
    startOver(): void;
    /** Another connection is wanted, now. */
    again(link: Link): void;
    /** It is over. */
    lost(link: Link, error?: Error): void;
    /** The server refuses us, whatever transport we take. */
    refused(error: PosthornError): void;
}
/** The address with these parameters; those that are null or empty are left out. */
export declare function address(base: string, parameters: Record<string, string | number | null>): string;
