import type { Surroundings } from './types.js';

/** What there is here, with what was handed in put in its place. */
export function surroundings(given: Partial<Surroundings> = {}): Surroundings {
  const { WebSocket, document } = globalThis;
  return {
    WebSocket,
    // Called as methods of another object, a browser's own functions throw.
    fetch: (url, init) => fetch(url, init),
    setTimeout: (then, after_ms) => setTimeout(then, after_ms),
    clearTimeout: (timer) => clearTimeout(timer),
    now: () => Date.now(),
    random: Math.random,
    document,
    window: document && globalThis,
    ...given,
  };
}

/** Calls what the user gave us. What it throws is reported like any error that nobody takes, and stops nothing here. */
export function tell<A extends unknown[]>(callback: ((...what: A) => void) | undefined, ...what: A): void {
  try {
    callback?.(...what);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Timers by name: setting one again replaces it. */
export class Timers {
  readonly #here: Surroundings;
  readonly #timers = new Map<string, unknown>();

  constructor(here: Surroundings) {
    this.#here = here;
  }

  after(name: string, after_ms: number, then: () => void): void {
    this.cancel(name);
    this.#timers.set(
      name,
      this.#here.setTimeout(() => {
        this.#timers.delete(name);
        then();
      }, after_ms),
    );
  }

  has(name: string): boolean {
    return this.#timers.has(name);
  }

  /** Without a name, all of them. */
  cancel(...names: string[]): void {
    for (const name of names.length ? names : this.#timers.keys()) {
      this.#here.clearTimeout(this.#timers.get(name));
      this.#timers.delete(name);
    }
  }
}
