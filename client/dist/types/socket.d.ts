import type { Host, Link } from './link.js';
import type { Ticket } from './types.js';
/** One WebSocket (docs/API.md, "Rules for a client that misses nothing"). */
export declare class SocketLink implements Link {
    #private;
    constructor(host: Host, ticket: Ticket);
    close(): void;
    wake(): void;
    wished(): void;
}
