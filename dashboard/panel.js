// One event with all its fields. Beside the table on a wide window, over it on a narrow one.

import { kindOf } from './feed.js';
import { LEVELS, json, linkable, text } from './format.js';
import { fillBadge, timeElement } from './list.js';

const WIDE = '(min-width: 1100px)';

/** How much of what was received is shown: a mail of megabytes would hold up the page. */
const MOST = 100_000;

/** Fields in the order in which one wants to read them. Others follow in the order they came in. */
const FIELDS = [
  ['type', 'Kind'],
  ['recipient', 'Recipient'],
  ['subject', 'Subject'],
  ['sender', 'Sender'],
  ['occurred_at', 'Occurred'],
  ['received_at', 'Received'],
  ['template', 'Template'],
  ['tags', 'Tags'],
  ['subaccount', 'Subaccount'],
  ['metadata', 'Metadata'],
  ['detail', 'Detail'],
  ['source', 'Source'],
  ['webhook', 'Webhook'],
  ['message_id', 'Message'],
  ['id', 'Event'],
  ['cursor', 'Cursor'],
];

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function link(url) {
  const href = linkable(url);
  if (href === null) return url;
  const anchor = element('a', '', url);
  anchor.href = href;
  anchor.target = '_blank';
  anchor.rel = 'noopener noreferrer';
  return anchor;
}

/** The value of a field as an element; null when there is nothing to show. */
function shown(name, value, level) {
  if (text(value) === '') return null;
  if (name === 'occurred_at' || name === 'received_at') return element('span', '', timeElement(value), element('small', '', String(value)));
  if (Array.isArray(value)) return element('span', 'tags', ...value.map((one) => element('span', 'tag', text(one))));
  if (typeof value === 'object') return level < LEVELS ? fields(Object.entries(value), level + 1) : element('span', '', json(value));
  if (typeof value === 'string') return element('span', '', link(value));
  return element('span', '', text(value));
}

function fields(entries, level = 0) {
  const list = element('dl', '');
  for (const [name, value, label] of entries) {
    const description = shown(name, value, level);
    if (description === null) continue;
    const group = element('div', '', element('dt', '', label ?? name), element('dd', '', description));
    list.append(group);
  }
  return list;
}

function everything(event) {
  const named = new Set(FIELDS.map(([name]) => name));
  const others = Object.keys(event).filter((name) => !named.has(name) && name !== 'data');
  const body = document.createDocumentFragment();
  body.append(fields([...FIELDS.map(([name, label]) => [name, event[name], label]), ...others.map((name) => [name, event[name]])]));
  return body;
}

/** What was received, in a form that one can read. */
function received({ data }) {
  if (data === undefined || data === null) return [element('p', 'hint', 'What was received is not kept any more.')];
  const whole = json(data, LEVELS);
  const more = whole.length - MOST;
  const rest = more > 0 ? [element('p', 'hint', `… and ${more.toLocaleString()} more characters.`)] : [];
  return [element('h3', '', 'As received'), element('pre', '', whole.slice(0, MOST)), ...rest];
}

export class Panel {
  #dialog;
  #heading;
  #body;
  #onClose;
  #load;
  #wide = matchMedia(WIDE);

  /** `load` fetches an event with what was received. */
  constructor({ dialog, heading, body, close, load, onClose }) {
    this.#dialog = dialog;
    this.#heading = heading;
    this.#body = body;
    this.#onClose = onClose;
    this.#load = load;
    close.addEventListener('click', () => this.close());
    dialog.addEventListener('close', () => {
      if (!dialog.open) this.#onClose();
    });
    // What is inside fills the dialog, so a click on the dialog itself is one on its backdrop.
    dialog.addEventListener('click', (click) => {
      if (click.target === dialog) this.close();
    });
    // A dialog that is not modal has no Escape of its own. In a field, Escape is the field's.
    document.addEventListener('keydown', (key) => {
      if (key.key !== 'Escape' || !dialog.open || key.target instanceof HTMLInputElement) return;
      key.preventDefault();
      this.close();
    });
    this.#wide.addEventListener('change', () => {
      if (!dialog.open) return;
      dialog.close();
      this.#present();
    });
  }

  show(event) {
    const badge = document.createElement('span');
    fillBadge(badge, kindOf(event));
    this.#heading.replaceChildren(badge);
    const last = element('div', '', element('p', 'hint', 'Loading what was received …'));
    this.#body.replaceChildren(everything(event), last);
    this.#showReceived(event, last);
    this.#body.scrollTop = 0;
    if (!this.#dialog.open) this.#present();
  }

  /** It comes later, when perhaps another event is shown: then nobody sees it. */
  async #showReceived(event, place) {
    try {
      place.replaceChildren(...received(await this.#load(event.id)));
    } catch {
      place.replaceChildren(element('p', 'hint', 'What was received could not be loaded.'));
    }
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  #present() {
    if (this.#wide.matches) this.#dialog.show();
    else this.#dialog.showModal();
  }
}
