// Mandrill's events as the tests post them.

import { createHash } from 'node:crypto';

/** 22:26:40 UTC on 21 November 2026, which is 23:26:40 in the browser's time zone. */
export const TS = 1_795_300_000;

/** The `_id` of message number `n`. */
function messageId(n) {
  return createHash('md5').update(`message ${n}`).digest('hex');
}

/** A message event. `fields` go beside `msg`, `msg` into it. */
export function message(event, n, msg = {}, fields = {}) {
  return {
    event,
    _id: messageId(n),
    ts: TS + n,
    ...fields,
    msg: {
      _id: messageId(n),
      ts: TS,
      subject: `Order ${n}`,
      email: `reader${n}@example.net`,
      sender: 'orders@mail.example.com',
      tags: ['order-shipped'],
      metadata: { order_id: n },
      template: 'order-shipped-v3',
      ...msg,
    },
  };
}

/** `count` sends, numbered from `first`. */
export function sends(first, count, msg = {}) {
  return Array.from({ length: count }, (_, index) => message('send', first + index, msg));
}

const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148';
const FRANKFURT = { country_short: 'DE', country: 'Germany', region: 'Hessen', city: 'Frankfurt am Main' };

/** One event of each kind with what its row has to show: `[event, {kind, recipient, subject, detail}]`. */
export const KINDS = [
  [message('send', 1), { kind: 'send', detail: 'order-shipped-v3 order-shipped' }],
  [message('delivered', 2), { kind: 'delivered', detail: 'order-shipped-v3 order-shipped' }],
  [
    message('deferral', 3, { smtp_events: [{ ts: TS, type: 'deferred', diag: '451 4.3.5 Temporarily unavailable' }] }),
    { kind: 'deferral', detail: '451 4.3.5 Temporarily unavailable' },
  ],
  [
    message('hard_bounce', 4, { bounce_description: 'bad_mailbox', diag: 'smtp;550 5.1.1 <reader4@example.net>: User unknown' }),
    { kind: 'hard bounce', detail: 'bad_mailbox smtp;550 5.1.1 <reader4@example.net>: User unknown' },
  ],
  [
    message('soft_bounce', 5, { bounce_description: 'mailbox_full', diag: '', subject: 'Grüße aus 東京' }),
    { kind: 'soft bounce', detail: 'mailbox_full', subject: 'Grüße aus 東京' },
  ],
  [
    message('open', 6, {}, { ip: '192.0.2.44', user_agent: IPHONE, location: FRANKFURT }),
    { kind: 'open', detail: 'Frankfurt am Main, Germany iPhone' },
  ],
  [
    message('open', 7, {}, { ip: '192.0.2.45', user_agent: 'ExampleMail/3', location: null }),
    { kind: 'open', detail: 'ExampleMail/3' },
  ],
  [
    message('click', 8, {}, { ip: '192.0.2.44', url: 'https://shop.example.com/track?o=8&q=gr%C3%BC%C3%9Fe#top' }),
    { kind: 'click', detail: 'https://shop.example.com/track?o=8&q=gr%C3%BC%C3%9Fe#top' },
  ],
  [message('spam', 9), { kind: 'spam', detail: 'order-shipped-v3 order-shipped' }],
  [message('unsub', 10), { kind: 'unsub', detail: 'order-shipped-v3 order-shipped' }],
  [message('reject', 11, { reject: { reason: 'unsigned', last_event_at: null } }), { kind: 'reject', detail: 'unsigned' }],
  [
    { event: 'open', _id: messageId(12), ts: TS + 12, ip: '192.0.2.99', location: null, user_agent: null, msg: [] },
    { kind: 'open', detail: '192.0.2.99', recipient: 'no recipient', subject: '' },
  ],
  [
    { type: 'blacklist', action: 'add', ts: TS + 13, reject: { reason: 'hard-bounce', email: 'reader13@example.net', sender: null } },
    { kind: 'blacklist add', detail: 'add · hard-bounce', subject: '' },
  ],
  [
    { type: 'allowlist', action: 'remove', ts: TS + 14, entry: { email: 'reader14@example.net', detail: 'contract partner' } },
    { kind: 'allowlist remove', detail: 'remove · contract partner', subject: '' },
  ],
  [
    { event: 'inbound', ts: TS + 15, msg: { raw_msg: 'From: bot@example.org\n\nhi', from_email: 'bot@example.org', email: 'reader15@example.net', subject: null } },
    { kind: 'inbound', detail: 'from bot@example.org', subject: '' },
  ],
  [
    { event: 'sms_delivered', _id: messageId(16), ts: TS + 16, msg: { _id: messageId(16), phone: '+15550100' } },
    { kind: 'sms_delivered', detail: 'sms_delivered', recipient: 'no recipient', subject: '' },
  ],
].map(([event, shown], index) => [
  event,
  { recipient: `reader${index + 1}@example.net`, subject: `Order ${index + 1}`, utc: utc(TS + index + 1), ...shown },
]);

function utc(ts) {
  return new Date(ts * 1_000).toISOString().replace('.000Z', 'Z');
}
