import type { PosthornError } from './error.js';
/** The kinds that Mandrill has today. The list is open: see {@link EventType}. */
export type KnownType = 'send' | 'deferral' | 'delivered' | 'hard_bounce' | 'soft_bounce' | 'open' | 'click' | 'spam' | 'unsub' | 'reject' | 'inbound' | 'blacklist_add' | 'blacklist_change' | 'blacklist_remove' | 'whitelist_add' | 'whitelist_remove' | 'unknown';
/** A kind. Be ready for one that you have not met. */
export type EventType = KnownType | (string & {});
/** What is worth showing of a kind. Absent fields are left out. */
export interface EventDetail {
    url?: string;
    ip?: string;
    user_agent?: string;
    location?: {
        country_short?: string;
        country?: string;
        city?: string;
        timezone?: string;
        [field: string]: unknown;
    };
    /** What the receiving server said. */
    diag?: string;
    bounce_description?: string;
    /** Of a reject, or of a listing. */
    reason?: string;
    [field: string]: unknown;
}
/** One event, the same over every transport (docs/API.md, "The event"). Times are RFC 3339 in UTC. */
export interface PosthornEvent {
    /** Made from what was received: the same event sent twice has the same id. */
    id: string;
    type: EventType;
    source: 'mandrill' | 'api' | 'ingest' | 'posthorn' | (string & {});
    /** The name of the key that verified it. */
    webhook: string | null;
    occurred_at: string;
    /** When it was stored: the order of the feed. */
    received_at: string;
    message_id: string | null;
    recipient: string | null;
    sender: string | null;
    subject: string | null;
    tags: string[];
    subaccount: string | null;
    template: string | null;
    metadata: Record<string, unknown>;
    detail: EventDetail;
    /** What was received; over a WebSocket only where it was asked for. */
    data?: unknown;
    /** Something was left out for its size; `GET /v1/events/{id}` has the whole. */
    truncated?: true;
    /** Where it stands in the feed. Cursors of one deployment sort bytewise. */
    cursor: string;
}
/** The answer of `POST /v1/tickets`. A ticket opens connections for a minute. */
export interface Ticket {
    ticket: string;
    /** The address of the WebSocket, with the ticket in it. */
    url: string;
    /** Server-Sent Events, without the ticket; null where the deployment leaves them out. */
    stream_url?: string | null;
    /** Long polls, without the ticket; null where the deployment leaves them out. */
    poll_url?: string | null;
    expires_at?: string;
}
/** As much of a `Response` as is needed. */
export interface TicketResponse {
    ok: boolean;
    status: number;
    json(): Promise<unknown>;
}
export type Transport = 'websocket' | 'sse' | 'poll';
/** What the client is doing. `transport` is the one in use, or the last that was. */
export type State = {
    transport: Transport;
} & ({
    name: 'connecting';
}
/** Connected; what was missed is arriving. */
 | {
    name: 'replaying';
}
/** Connected; nothing is known to be missing. */
 | {
    name: 'live';
}
/** Not connected; tries again at `until` (milliseconds since 1970). No error: the connection ended, or nothing came in time. */
 | {
    name: 'waiting';
    until: number;
    error: Error | undefined;
}
/** Not connected, on purpose: the tab is hidden, `pause()` was called, or the loop over events is too slow. */
 | {
    name: 'paused';
    why: 'hidden' | 'asked' | 'full';
}
/** No ticket for us, or the filter is not accepted. `start()` tries again, where there is `onEvents`. */
 | {
    name: 'refused';
    error: PosthornError;
} | {
    name: 'stopped';
});
/** What `subscribe` takes. What is left out is set back: no filter, no `data`. */
export interface Subscription {
    /** docs/API.md, "Filters". */
    filter?: string;
    /** Whether events come with `data`, what was received. */
    data?: boolean;
    /** Begin anew with the newest events that pass, so many. Without it the feed goes on where it is. */
    last?: number;
}
/** Why the next events do not continue those before: another filter with `last`, or another feed behind the address. */
export type ResetReason = 'filter' | 'bad_cursor';
export interface Options extends Subscription {
    /**
     * Gets a ticket: the answer of `POST /v1/tickets`, or the `Response` of a `fetch` that has it.
     * It is called for every connection. A status of 401 or 403 (of the response, or as `status` of what
     * is thrown) ends in the state `refused`; any other failure is repeated.
     */
    ticket: (context: {
        signal: AbortSignal;
    }) => Promise<Ticket | TicketResponse> | Ticket | TicketResponse;
    /** Where to go on: a `cursor` of this client that was kept. */
    cursor?: string | null;
    /** How many events to begin with where there is no cursor, 1 to 1,000. Default 100. */
    last?: number;
    /** Stops the client. */
    signal?: AbortSignal;
    /** The transports to use, best first. Default all three. */
    transports?: readonly Transport[];
    /** After how many milliseconds in a hidden tab the connection is given up. Default 5 minutes; `false` for never. */
    pauseHidden?: number | false;
    /** How many events wait for `for await` at most. Default 10,000. */
    buffer?: number;
    /** Takes the events, each once, in any order; sort by `cursor`. Leave it out to use `for await`. */
    onEvents?: (events: PosthornEvent[]) => void;
    onState?: (state: State) => void;
    /** What was stored while we were away is no longer kept in full. */
    onLost?: () => void;
    /** Forget what was shown: the next events are the newest, not those that follow. */
    onReset?: (why: ResetReason) => void;
    /** Replaces parts of the surroundings, for tests. */
    surroundings?: Partial<Surroundings>;
}
/** A feed that stays connected and misses nothing. */
export interface PosthornClient extends AsyncIterable<PosthornEvent[]> {
    readonly state: State;
    /** Where to go on another time: keep it, and give it to the next client as `cursor`. */
    readonly cursor: string | null;
    /** The filter in force, in the server's words. */
    readonly filter: string;
    /**
     * Asks for other events. Answers when they are in force, with the filter in the server's words. Rejected
     * with a `PosthornError`, and nothing is changed, if the server refuses it (`bad_filter`, `forbidden`) or
     * a later call comes first (`superseded`).
     */
    subscribe(subscription?: Subscription): Promise<string>;
    /** Gives the connection up until `start()`. The position is kept. */
    pause(): void;
    /** Connects now: from a pause, a wait or a refusal. A loop over events has ended with the refusal, and needs another client. */
    start(): void;
    /** Ends it for good. */
    close(): void;
    /** One loop takes the events; leaving it closes the client. It throws when the client is refused. */
    [Symbol.asyncIterator](): AsyncGenerator<PosthornEvent[], void, void>;
}
/** A socket as browsers have it. */
export interface SocketLike {
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    send(text: string): void;
    close(): void;
}
/** As much of an `EventTarget` as is needed. */
export interface Listenable {
    addEventListener(type: string, listener: (event: any) => void): void;
    removeEventListener(type: string, listener: (event: any) => void): void;
}
/** Everything that the client takes from where it runs. */
export interface Surroundings {
    WebSocket: (new (url: string) => SocketLike) | undefined;
    fetch: (url: string, init: {
        signal: AbortSignal;
    }) => Promise<{
        ok: boolean;
        status: number;
        json(): Promise<any>;
        body: {
            getReader(): {
                read(): Promise<{
                    done: boolean;
                    value?: Uint8Array;
                }>;
            };
        } | null;
    }>;
    setTimeout: (then: () => void, after_ms: number) => unknown;
    clearTimeout: (timer: any) => void;
    /** Milliseconds since 1970. */
    now: () => number;
    /** From 0 to below 1. */
    random: () => number;
    /** Tells hidden tabs; undefined outside of browsers. */
    document: (Listenable & {
        hidden: boolean;
    }) | undefined;
    /** Tells `online` and `pageshow`; undefined outside of browsers. */
    window: Listenable | undefined;
}
