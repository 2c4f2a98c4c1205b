// The events the page holds: each once, newest first, and no more than a limit.

/** How many events a page keeps. What is older is forgotten here, and stays in the store. */
export const LIMIT = 5_000;

/** Newest first. Cursors and ids are ASCII, so comparing UTF-16 units compares bytes. */
function newestFirst(a, b) {
  if (a.cursor !== b.cursor) return a.cursor > b.cursor ? -1 : 1;
  if (a.id === b.id) return 0;
  return a.id > b.id ? -1 : 1;
}

function isEvent(value) {
  return typeof value?.id === 'string' && typeof value.cursor === 'string';
}

/** The name of an event's kind; the list of kinds is open. */
export function kindOf(event) {
  return typeof event.type === 'string' && event.type !== '' ? event.type : 'unknown';
}

export class Feed {
  #limit;
  #events = [];
  #ids = new Set();
  #kinds = new Map();

  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  /** Newest first. Never changed in place: a reader may keep it, as a paused page does. */
  get events() {
    return this.#events;
  }

  /** How many events there are of each kind. */
  get kinds() {
    return this.#kinds;
  }

  /** Takes what is not known yet and answers how many that were. */
  add(events) {
    const fresh = [];
    for (const event of events) {
      if (!isEvent(event) || this.#ids.has(event.id)) continue;
      this.#ids.add(event.id);
      fresh.push(event);
    }
    if (fresh.length === 0) return 0;
    fresh.sort(newestFirst);
    const merged = merge(fresh, this.#events);
    for (const event of fresh) this.#count(event, 1);
    // An id is forgotten together with its event. Should that event come again it is older than
    // everything kept, and falls off the end again.
    for (const event of merged.splice(this.#limit)) {
      this.#ids.delete(event.id);
      this.#count(event, -1);
    }
    this.#events = merged;
    return fresh.length;
  }

  clear() {
    this.#events = [];
    this.#ids.clear();
    this.#kinds.clear();
  }

  #count(event, by) {
    const kind = kindOf(event);
    const count = (this.#kinds.get(kind) ?? 0) + by;
    if (count === 0) this.#kinds.delete(kind);
    else this.#kinds.set(kind, count);
  }
}

function merge(a, b) {
  const merged = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    merged.push(newestFirst(a[i], b[j]) <= 0 ? a[i++] : b[j++]);
  }
  while (i < a.length) merged.push(a[i++]);
  while (j < b.length) merged.push(b[j++]);
  return merged;
}
