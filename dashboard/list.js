// The table of events. Only the rows in sight are in the document, so a page with 5,000 events costs
// as much as one with 50, and a burst costs one change per animation frame.

import { kindOf } from './feed.js';
import { kindFamily, kindLabel, moment, telling, text } from './format.js';

// Rows kept ready above and below what is in sight.
const SPARE_ROWS = 12;
// A cell is cut off by the layout long before this; the document need not carry the rest.
const CELL_CHARS = 300;
// Marking new rows helps the eye while they come singly; in a burst it would only flicker.
const MARKED_ROWS = 12;

function fill(element, value) {
  element.textContent = value.length > CELL_CHARS ? `${value.slice(0, CELL_CHARS)}…` : value;
}

/** The badge of a kind: its name in words, with a colour beside it. */
export function fillBadge(badge, kind) {
  badge.className = `badge family-${kindFamily(kind)}`;
  fill(badge, kindLabel(kind));
}

/** A `<time>` in local time whose title is the exact UTC. */
export function timeElement(timestamp) {
  const shown = moment(timestamp, Date.now());
  const time = document.createElement('time');
  if (shown === null) {
    time.textContent = '–';
    return time;
  }
  time.dateTime = shown.utc;
  time.title = `${shown.utc} (UTC)`;
  time.append(shown.time);
  if (shown.day) {
    const day = document.createElement('span');
    day.textContent = shown.day;
    time.append(' ', day);
  }
  return time;
}

export class List {
  #table;
  #body;
  #template;
  #onOpen;

  #events = [];
  #rows = new Map();
  #row_px = 0;
  // The row that Tab reaches; arrow keys move it.
  #current = null;
  #opened = null;

  constructor({ table, body, template, onOpen }) {
    this.#table = table;
    this.#body = body;
    this.#template = template;
    this.#onOpen = onOpen;
    body.addEventListener('click', (click) => {
      const event = this.#eventOf(click.target);
      if (event) this.#open(event);
    });
    body.addEventListener('keydown', (key) => this.#keyed(key));
    body.addEventListener('focusin', (focus) => {
      const event = this.#eventOf(focus.target);
      if (event) this.#makeCurrent(event);
    });
    addEventListener('scroll', () => requestAnimationFrame(() => this.#draw()), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(body.parentElement);
  }

  /** Shows these events, newest first. `fresh` has the ids of those to mark as new. */
  show(events, fresh) {
    this.#events = events;
    this.#table.setAttribute('aria-rowcount', String(events.length + 1));
    this.#body.style.height = `${events.length * this.#row_px}px`;
    this.#draw(fresh.size <= MARKED_ROWS ? fresh : undefined);
  }

  /** Whether the newest row is in sight. */
  get isAtTop() {
    return this.#position().first === 0;
  }

  toTop() {
    scrollTo({ top: 0, behavior: 'instant' });
  }

  /** Marks the row whose event is shown in full, or none. */
  setOpened(event) {
    this.#opened = event;
    for (const [id, row] of this.#rows) row.classList.toggle('is-opened', id === event?.id);
  }

  /** Puts the focus on the row of an event. Scrolls nowhere: if the row has left, so be it. */
  focus(event) {
    this.#rows.get(event?.id)?.querySelector('.open').focus({ preventScroll: true });
  }

  #resized() {
    const row_px = Number.parseFloat(getComputedStyle(this.#body).getPropertyValue('--row'));
    if (row_px !== this.#row_px) {
      const { first } = this.#position();
      this.#row_px = row_px;
      this.#body.style.height = `${this.#events.length * row_px}px`;
      for (const row of this.#rows.values()) row.index = undefined;
      if (first > 0) scrollTo({ top: this.#top() + first * row_px, behavior: 'instant' });
    }
    this.#draw();
  }

  /** Where the first row is, from the top of the document. */
  #top() {
    return this.#body.getBoundingClientRect().top + scrollY;
  }

  #position() {
    if (this.#row_px === 0) return { first: 0, last: 0 };
    const above_px = -this.#body.getBoundingClientRect().top;
    return {
      first: Math.max(0, Math.floor(above_px / this.#row_px)),
      last: Math.ceil((above_px + innerHeight) / this.#row_px),
    };
  }

  #draw(fresh) {
    const { first, last } = this.#position();
    const from = Math.max(0, first - SPARE_ROWS);
    const to = Math.min(this.#events.length, last + SPARE_ROWS);
    const indexes = [];
    for (let index = from; index < to; index += 1) indexes.push(index);
    this.#keepFocused(indexes, from, to);

    const wanted = new Set(indexes.map((index) => this.#events[index].id));
    for (const [id, row] of this.#rows) {
      if (!wanted.has(id)) {
        row.remove();
        this.#rows.delete(id);
      }
    }
    // Rows are only ever inserted between others and never moved: a moved element loses the focus.
    let next = this.#body.firstElementChild;
    for (const index of indexes) {
      const event = this.#events[index];
      let row = this.#rows.get(event.id);
      if (row === undefined) {
        row = this.#create(event, fresh);
        this.#rows.set(event.id, row);
        this.#body.insertBefore(row, next);
      } else {
        next = row.nextElementSibling;
      }
      if (row.index !== index) {
        row.index = index;
        row.style.transform = `translateY(${index * this.#row_px}px)`;
        row.setAttribute('aria-rowindex', String(index + 2));
      }
    }
    this.#keepReachable(indexes);
  }

  /** A row with the focus stays in the document when it is scrolled out of sight. */
  #keepFocused(indexes, from, to) {
    const focused = this.#eventOf(document.activeElement);
    const index = focused ? this.#events.indexOf(focused) : -1;
    if (index >= to) indexes.push(index);
    else if (index >= 0 && index < from) indexes.unshift(index);
  }

  /** Exactly one row can be reached with Tab. */
  #keepReachable(indexes) {
    if (this.#current && this.#rows.has(this.#current.id)) return;
    const { first } = this.#position();
    const index = indexes.find((candidate) => candidate >= first) ?? indexes[0];
    if (index !== undefined) this.#makeCurrent(this.#events[index]);
  }

  #makeCurrent(event) {
    const button = (of) => this.#rows.get(of?.id)?.querySelector('.open');
    const before = button(this.#current);
    if (before) before.tabIndex = -1;
    this.#current = event;
    const after = button(event);
    if (after) after.tabIndex = 0;
  }

  #create(event, fresh) {
    const row = this.#template.content.firstElementChild.cloneNode(true);
    const [kind, who, subject, detail, when] = row.children;
    const button = who.firstElementChild;
    const label = kindLabel(kindOf(event));
    const recipient = text(event.recipient);
    row.event = event;
    row.classList.toggle('is-fresh', fresh?.has(event.id) ?? false);
    row.classList.toggle('is-opened', event.id === this.#opened?.id);
    fillBadge(kind.firstElementChild, kindOf(event));
    fill(button, recipient || 'no recipient');
    button.classList.toggle('is-absent', recipient === '');
    button.setAttribute('aria-description', `${label.slice(0, CELL_CHARS)}: show all fields`);
    button.tabIndex = event === this.#current ? 0 : -1;
    fill(subject, text(event.subject));
    const { main, rest } = telling(event);
    fill(detail.querySelector('.main'), main);
    fill(detail.querySelector('.rest'), rest);
    when.append(timeElement(event.occurred_at ?? event.received_at));
    return row;
  }

  #eventOf(target) {
    return target instanceof Element ? target.closest('.row')?.event : undefined;
  }

  #open(event) {
    this.#makeCurrent(event);
    this.#onOpen(event);
  }

  #keyed(key) {
    const event = this.#eventOf(key.target);
    if (!event || key.altKey || key.ctrlKey || key.metaKey) return;
    const index = this.#events.indexOf(event);
    const page = Math.max(1, Math.floor((innerHeight * 0.7) / this.#row_px));
    const end = this.#events.length - 1;
    const to = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: end,
    }[key.key];
    if (to === undefined || index < 0) return;
    key.preventDefault();
    this.#focusIndex(Math.min(end, Math.max(0, to)));
  }

  #focusIndex(index) {
    const event = this.#events[index];
    const row_top = this.#top() + index * this.#row_px;
    // What sticks to the top of the window hides rows behind it.
    const above_px = document.querySelector('.top').offsetHeight + 2 * this.#row_px;
    const below_px = innerHeight - 2 * this.#row_px;
    if (row_top - scrollY < above_px) scrollTo({ top: Math.max(0, row_top - above_px), behavior: 'instant' });
    else if (row_top - scrollY > below_px) scrollTo({ top: row_top - below_px, behavior: 'instant' });
    this.#draw();
    this.#makeCurrent(event);
    this.#rows.get(event.id)?.querySelector('.open').focus({ preventScroll: true });
  }
}
