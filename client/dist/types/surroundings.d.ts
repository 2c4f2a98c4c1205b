import type { Surroundings } from './types.js';
/** What there is here, with what was handed in put in its place. */
export declare function surroundings(given?: Partial<Surroundings>): Surroundings;
/** Calls what the user gave us. What it throws is reported like any error that nobody takes, and stops nothing here. */
export declare function tell<A extends unknown[]>(callback: ((...what: A) => void) | undefined, ...what: A): void;
/** Timers by name: setting one again replaces it. */
export declare class Timers {
    #private;
    constructor(here: Surroundings);
    after(name: string, after_ms: number, then: () => void): void;
    has(name: string): boolean;
    /** Without a name, all of them. */
    cancel(...names: string[]): void;
}
