import type { Options, PosthornClient } from './types.js';
/**
 * The wait before reconnect number `attempt` (from 0), in milliseconds: full jitter, so that a thousand
 * pages that lost the same server do not come back in the same moment.
 */
export declare function reconnectDelay(attempt: number, random: number): number;
/** Connects to a feed and stays connected until `close()`. */
export declare function connect(options: Options): PosthornClient;
