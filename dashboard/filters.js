// Which events are shown: chips for kinds and a box for words. All of it in the page, nothing is asked
// from the server.

import { kindOf } from './feed.js';
import { compareKinds, kindFamily, kindLabel, number, searchable } from './format.js';

// Publishers may send any number of kinds; beyond this many there is no use in chips.
const MOST_CHIPS = 40;

export class Filters {
  #chips;
  #search;
  #onChange;
  #kinds = new Set();
  #words = [];
  #buttons = new Map();
  #texts = new WeakMap();

  constructor({ chips, search, onChange }) {
    this.#chips = chips;
    this.#search = search;
    this.#onChange = onChange;
    chips.addEventListener('click', (click) => {
      const chip = click.target.closest('button');
      if (chip) this.#toggle(chip.kind);
    });
    search.addEventListener('input', () => {
      this.#words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      onChange();
    });
  }

  get isActive() {
    return this.#kinds.size > 0 || this.#words.length > 0;
  }

  clear() {
    this.#kinds.clear();
    this.#words = [];
    this.#search.value = '';
    this.#onChange();
  }

  apply(events) {
    return this.isActive ? events.filter((event) => this.#matches(event)) : events;
  }

  /** Brings the chips up to date with the kinds there are, `Map` of kind to count. */
  draw(kinds) {
    const shown = [...new Set([...kinds.keys(), ...this.#kinds])].sort(compareKinds).slice(0, MOST_CHIPS);
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
      const count = number(kinds.get(kind) ?? 0);
      if (chip.lastChild.textContent !== count) chip.lastChild.textContent = count;
      const pressed = String(this.#kinds.has(kind));
      if (chip.getAttribute('aria-pressed') !== pressed) chip.setAttribute('aria-pressed', pressed);
    }
  }

  #matches(event) {
    if (this.#kinds.size > 0 && !this.#kinds.has(kindOf(event))) return false;
    if (this.#words.length === 0) return true;
    let words = this.#texts.get(event);
    if (words === undefined) {
      words = searchable(event);
      this.#texts.set(event, words);
    }
    return this.#words.every((word) => words.includes(word));
  }

  #toggle(kind) {
    if (!this.#kinds.delete(kind)) this.#kinds.add(kind);
    this.#onChange();
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
