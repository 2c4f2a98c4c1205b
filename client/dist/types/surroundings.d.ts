import type { Surroundings } from './types.js';
/** What there is here, with what was handed in put in its place. */
export declare function surroundings(given?: Partial<Surroundings>): Surroundings;
/** Timers by name: setting one again replaces it. */
export declare class Timers {
    #private;
    constructor(here: Surroundings);
    after(name: string, after_ms: number, then: () => void): void;
    has(name: string): boolean;
    cancel(...names: string[]): void;
    cancelAll(): void;
}
