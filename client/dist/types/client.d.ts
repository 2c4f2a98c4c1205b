import type { Options, PosthornClient } from './types.js';
/** Connects to a feed and stays connected until `close()`. */
export declare function connect(options: Options): PosthornClient;
