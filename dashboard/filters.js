// What is asked for: a box with a filter, and chips that write kinds into it. The server does the
// filtering, of what it has and of what comes.

import { compareKinds, kindFamily, kindLabel, number } from './format.js';
import { kindsIn, placeOf, withKind } from './terms.js';

// Publishers may send any number of kinds; beyond this many there is no use in chips.
const MOST_CHIPS = 40;
// Somebody who types is not done yet.
const TYPING_MS = 350;

export class Filters {
  #chips;
  #search;
  #refusal;
  #onChange;
  #asked = '';
  #typing;
  // Every kind that was met: under a filter the others have to stay within reach.
  #met = new Set();
  #buttons = new Map();

  /** `onChange(text)` is told what is asked for; `refused` takes what the server says to it. */
  constructor({ chips, search, refusal, onChange }) {
    this.#chips = chips;
    this.#search = search;
    this.#refusal = refusal;
    this.#onChange = onChange;
    chips.addEventListener('click', (click) => {
      const chip = click.target.closest('button');
      if (!chip) return;
      search.value = withKind(search.value, chip.kind);
      this.#ask();
    });
    search.addEventListener('input', () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#ask(), TYPING_MS);
    });
    search.addEventListener('keydown', ({ key }) => {
      if (key === 'Enter') this.#ask();
    });
  }

  /** What is asked for. */
  get text() {
    return this.#asked;
  }

  clear() {
    this.#search.value = '';
    this.#ask();
  }

  /** Forgets the kinds of another feed. */
  forget() {
    this.#met.clear();
  }

  /** Shows why the filter is refused, with its place, or that it is not: `null`. */
  refused(message) {
    const [why, written, place] = this.#refusal.querySelectorAll('p, code, mark');
    this.#refusal.hidden = message === null;
    this.#search.setAttribute('aria-invalid', String(message !== null));
    if (message === null) return;
    why.textContent = message;
    const at = placeOf(message, this.#asked);
    written.hidden = at === null;
    if (at === null) return;
    // One character; at the end, where something is missing, a space.
    const [fault = '\u00A0'] = this.#asked.slice(at);
    place.textContent = fault;
    written.replaceChildren(this.#asked.slice(0, at), place, this.#asked.slice(at + fault.length));
  }

  /** Brings the chips up to date with the kinds there are, `Map` of kind to count. */
  draw(kinds) {
    const wanted = kindsIn(this.#asked);
    for (const kind of kinds.keys()) this.#met.add(kind);
    const shown = [...this.#met].sort(compareKinds).slice(0, MOST_CHIPS);
    for (const [kind, chip] of this.#buttons) {
      if (!shown.includes(kind)) {
        chip.remove();
        this.#buttons.delete(kind);
      }
    }
    let next = this.#chips.firstElementChild;
    for (const kind of shown) {
      let chip = this.#buttons.get(kind);
      if (chip === undefined) {
        chip = this.#create(kind);
        this.#buttons.set(kind, chip);
        this.#chips.insertBefore(chip, next);
      } else {
        next = chip.nextElementSibling;
      }
      const count = kinds.has(kind) ? number(kinds.get(kind)) : '';
      if (chip.lastChild.textContent !== count) chip.lastChild.textContent = count;
      const pressed = String(wanted.has(kind.toLowerCase()));
      if (chip.getAttribute('aria-pressed') !== pressed) chip.setAttribute('aria-pressed', pressed);
    }
  }

  #ask() {
    clearTimeout(this.#typing);
    const text = this.#search.value.trim();
    if (text === this.#asked) return;
    this.#asked = text;
    this.#onChange(text);
  }

  #create(kind) {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.kind = kind;
    chip.className = `chip family-${kindFamily(kind)}`;
    const label = document.createElement('span');
    label.className = 'chip-label';
    label.textContent = kindLabel(kind).slice(0, 60);
    const count = document.createElement('span');
    count.className = 'chip-count';
    chip.append(label, ' ', count);
    return chip;
  }
}
