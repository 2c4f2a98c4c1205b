// From an event to the words that are shown. Pure: no DOM, and no field is trusted to have its type.

/**
 * The kinds we know: what their badge says, which colour family it has, and their place among the chips.
 * A family is a class in style.css.
 */
const KINDS = new Map([
  ['send', ['send', 'sent']],
  ['delivered', ['delivered', 'good']],
  ['open', ['open', 'open']],
  ['click', ['click', 'click']],
  ['deferral', ['deferral', 'slow']],
  ['soft_bounce', ['soft bounce', 'soft']],
  ['hard_bounce', ['hard bounce', 'bad']],
  ['reject', ['reject', 'bad']],
  ['spam', ['spam', 'spam']],
  ['unsub', ['unsub', 'quiet']],
  ['inbound', ['inbound', 'inbound']],
]);

const SYNC = /^(blacklist|denylist|whitelist|allowlist|safelist)_([a-z]+)$/;

const ORDER = [...KINDS.keys()];

/** What the badge of a kind says. A kind we do not know says its own name. */
export function kindLabel(kind) {
  return KINDS.get(kind)?.[0] ?? (SYNC.test(kind) ? kind.replace('_', ' ') : kind);
}

/** The colour family of a kind. */
export function kindFamily(kind) {
  return KINDS.get(kind)?.[1] ?? (SYNC.test(kind) ? 'list' : 'other');
}

/** Orders kinds for the chips: the known ones along a message's life, then the rest by name. */
export function compareKinds(a, b) {
  const rank = (kind) => (KINDS.has(kind) ? ORDER.indexOf(kind) : ORDER.length + (SYNC.test(kind) ? 0 : 1));
  return rank(a) - rank(b) || (a < b ? -1 : Number(a > b));
}

/**
 * How many levels of objects and lists are shown one within the other. What is deeper is shown as text:
 * browsers give up on elements, and engines on calls, that stand in thousands of others.
 */
export const LEVELS = 16;

/** A value as JSON text, however deep it is: the first `levels` levels on lines of their own, the rest in one. */
export function json(value, levels = 0) {
  const parts = [];
  const open = [];
  const write = (one) => {
    if (one === null || typeof one !== 'object') {
      parts.push(JSON.stringify(one));
      return;
    }
    const names = Array.isArray(one) ? null : Object.keys(one);
    parts.push(names === null ? '[' : '{');
    open.push({ names, values: Object.values(one), at: 0 });
  };
  write(value);
  while (open.length > 0) {
    const depth = open.length;
    const isSpread = depth <= levels;
    const container = open[depth - 1];
    const { names, values, at } = container;
    if (at === values.length) {
      if (isSpread && at > 0) parts.push('\n', '  '.repeat(depth - 1));
      parts.push(names === null ? ']' : '}');
      open.pop();
      continue;
    }
    if (at > 0) parts.push(',');
    if (isSpread) parts.push('\n', '  '.repeat(depth));
    if (names !== null) parts.push(JSON.stringify(names[at]), isSpread ? ': ' : ':');
    container.at += 1;
    write(values[at]);
  }
  return parts.join('');
}

/** Any JSON value as one line of text; nothing for null, empty lists and empty objects. */
export function text(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value.replace(/\s+/g, ' ').trim();
  if (typeof value !== 'object') return String(value);
  if (!Array.isArray(value)) return Object.keys(value).length === 0 ? '' : json(value);
  const flat = value.flat(LEVELS);
  return flat.map((one) => (Array.isArray(one) ? json(one) : text(one))).filter(Boolean).join(', ');
}

/** The parts that say something, joined. */
function joined(separator, ...parts) {
  return parts.map(text).filter(Boolean).join(separator);
}

function object(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}

function place(location) {
  if (typeof location === 'string') return text(location);
  const { city, region, country, country_short } = object(location);
  return joined(', ', text(city) || region, text(country) || country_short);
}

// Later entries are more telling than earlier ones: Edge and Opera also say Chrome, Chrome also says Safari.
const BROWSERS = [
  ['Safari', /Safari\//],
  ['Chrome', /Chrome\//],
  ['Firefox', /Firefox\//],
  ['Edge', /Edg\w*\//],
  ['Opera', /OPR\//],
  ['Outlook', /Outlook/],
  ['Thunderbird', /Thunderbird/],
  ['Google image proxy', /GoogleImageProxy/],
  ['Yahoo image proxy', /YahooMailProxy/],
];
const SYSTEMS = [
  ['Linux', /Linux/],
  ['macOS', /Mac OS X/],
  ['Windows', /Windows/],
  ['Android', /Android/],
  ['iPad', /iPad/],
  ['iPhone', /iPhone/],
];

/** A user agent in two words if we know it, else as it is. */
function agent(user_agent) {
  const full = text(user_agent);
  const last = (names) => names.findLast(([, pattern]) => pattern.test(full))?.[0];
  return joined(' on ', last(BROWSERS), last(SYSTEMS)) || full;
}

/** The one thing worth knowing about an event of its kind: `{main, rest}`, either may be empty. */
export function telling(event) {
  const detail = object(event.detail);
  const sync = SYNC.exec(text(event.type));
  if (sync) return { main: joined(' · ', sync[2], detail.reason), rest: '' };
  switch (event.type) {
    case 'click':
      return { main: text(detail.url), rest: joined(' · ', place(detail.location), agent(detail.user_agent)) };
    case 'open': {
      const where = place(detail.location);
      const reader = agent(detail.user_agent);
      return where ? { main: where, rest: reader } : { main: reader || text(detail.ip), rest: '' };
    }
    case 'hard_bounce':
    case 'soft_bounce':
      return { main: text(detail.bounce_description), rest: text(detail.diag) };
    case 'deferral':
      return { main: text(detail.diag), rest: '' };
    case 'reject':
      return { main: text(detail.reason), rest: text(detail.diag) };
    case 'inbound':
      return { main: joined(' ', 'from', text(event.sender) || 'an unknown sender'), rest: '' };
    case 'send':
    case 'delivered':
    case 'spam':
    case 'unsub':
      return { main: text(event.template), rest: text(event.tags) };
    default:
      return { main: text(detail.reason ?? detail.diag ?? detail.url) || text(event.type) || 'unknown', rest: '' };
  }
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const DAY_AND_YEAR = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });

/** A timestamp for a person: `{time, day, utc}` in local time with the exact UTC beside it, or null. */
export function moment(timestamp, now) {
  const date = new Date(typeof timestamp === 'string' ? timestamp : Number.NaN);
  if (Number.isNaN(date.getTime())) return null;
  const today = new Date(now);
  const is_today = date.toDateString() === today.toDateString();
  const day = date.getFullYear() === today.getFullYear() ? DAY : DAY_AND_YEAR;
  return {
    time: TIME.format(date),
    day: is_today ? '' : day.format(date),
    utc: date.toISOString().replace(/\.000Z$/, 'Z'),
  };
}

/** The address if it is one that may become a link, else null: never `javascript:` and its kin. */
export function linkable(url) {
  if (typeof url !== 'string') return null;
  try {
    const { protocol, href } = new URL(url);
    return protocol === 'https:' || protocol === 'http:' ? href : null;
  } catch {
    return null;
  }
}

/** A number with separators, as this reader writes them. */
export function number(value) {
  return value.toLocaleString();
}
