// Wires the parts together. Events go from the connection into the feed at once; the document follows
// once per animation frame, however many came.

import { Feed, LIMIT } from './feed.js';
import { Filters } from './filters.js';
import { number } from './format.js';
import { List } from './list.js';
import { Connection } from './live.js';
import { Panel } from './panel.js';
import { fetchEvent, isTokenRefused, keepToken, loadConfig, socketAddress, takeToken } from './session.js';

const $ = (id) => document.getElementById(id);

const feed = new Feed();
const config = await loadConfig();

let connection = null;
let token = '';
let state = { name: 'stopped' };
let isPaused = false;
// What was drawn last. While the reader has paused, or has scrolled down to read, it stays as it is:
// nothing moves under the eyes, and `held` counts what has come since.
let drawn = feed.events;
let held = 0;
let fresh = new Set();
let opened = null;
let isOtherView = false;
let isFrameAsked = false;

const list = new List({
  table: $('table'),
  body: $('rows'),
  template: $('row'),
  onOpen: (event) => {
    opened = event;
    list.setOpened(event);
    panel.show(event);
  },
});

const panel = new Panel({
  dialog: $('panel'),
  heading: $('panel-heading'),
  body: $('panel-body'),
  close: $('panel-close'),
  load: (id) => fetchEvent(config, token, id),
  onClose: () => {
    list.setOpened(null);
    list.focus(opened);
    opened = null;
  },
});

const filters = new Filters({ chips: $('chips'), search: $('search'), onChange: () => redraw({ isOther: true }) });

function redraw({ isOther = false } = {}) {
  isOtherView ||= isOther;
  if (isFrameAsked) return;
  isFrameAsked = true;
  requestAnimationFrame(() => {
    isFrameAsked = false;
    draw();
  });
}

function draw() {
  if (isOtherView) list.toTop();
  isOtherView = false;
  const isReading = !list.isAtTop;
  if (!isPaused && !isReading) {
    drawn = feed.events;
    held = 0;
  }
  const shown = filters.apply(drawn);
  list.show(shown, fresh);
  fresh = new Set();
  filters.draw(feed.kinds);
  $('filters').hidden = feed.events.length === 0 && !filters.isActive;
  drawCount(shown.length);
  drawEmpty(shown.length);
  drawHeld(isReading);
}

function drawCount(shown) {
  const all = drawn.length;
  const noun = all === 1 ? 'event' : 'events';
  put($('count'), shown === all ? `${number(all)} ${noun}` : `${number(shown)} of ${number(all)} ${noun}`);
  put(
    $('foot'),
    all >= LIMIT
      ? `This page keeps the newest ${number(LIMIT)} events. Older ones are in the store.`
      : all > 0
        ? `That is all this page has. It keeps up to ${number(LIMIT)} events and shows the newest first.`
        : '',
  );
}

function drawEmpty(shown) {
  const all = drawn.length;
  const isEmpty = shown === 0 && $('token-section').hidden;
  $('empty').hidden = !isEmpty;
  $('table').hidden = shown === 0;
  if (!isEmpty) return;
  const isFiltered = all > 0;
  const isLive = state.name === 'live';
  $('empty-command').hidden = isFiltered || !isLive;
  $('empty-clear').hidden = !isFiltered;
  put($('empty-heading'), isFiltered ? 'No event matches' : isLive ? 'No events yet' : 'Waiting for the feed');
  put(
    $('empty-text'),
    isFiltered
      ? `None of the ${number(all)} events here fits the filters.`
      : isLive
        ? 'The next one appears here as soon as it is stored. To see some now, run:'
        : 'Events appear here as soon as the connection stands.',
  );
}

function drawHeld(isReading) {
  $('pause').hidden = feed.events.length === 0 && !isPaused;
  $('pause').dataset.paused = String(isPaused);
  put($('pause-label'), isPaused ? 'Resume' : 'Pause');
  put($('pause-held'), isPaused && held > 0 ? `${number(held)} new` : '');
  $('to-top').hidden = isPaused || !isReading || held === 0;
  put($('to-top'), `↑ ${number(held)} new`);
}

function drawState() {
  const wasAway = $('state').dataset.state === 'waiting';
  const isAgain = state.name === 'waiting' || (state.name === 'connecting' && wasAway);
  const left_s = state.name === 'waiting' ? Math.max(1, Math.ceil((state.until - Date.now()) / 1_000)) : 0;
  $('state').dataset.state = isAgain ? 'waiting' : state.name;
  put(
    $('state-name'),
    isAgain
      ? 'Reconnecting'
      : { connecting: 'Connecting', replaying: 'Replaying', live: 'Live', refused: 'Token refused', stopped: 'No token' }[state.name],
  );
  put($('state-more'), left_s > 0 ? `in ${left_s} s` : isAgain ? 'now' : '');
}

/** Writes a text only where it differs: an equal rewrite would be read out again. */
function put(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function note(message) {
  put($('note-text'), message);
  $('note').hidden = false;
}

function askForToken(isRefused) {
  $('token-section').hidden = false;
  put($('token-heading'), isRefused ? 'The token was refused' : 'This page needs a token');
  $('token').focus({ preventScroll: true });
  redraw();
}

function connect(given) {
  token = given;
  connection?.stop();
  $('token-section').hidden = true;
  connection = new Connection({
    address: socketAddress(config, token),
    isRefused: () => isTokenRefused(config, token),
    onEvents: (events) => {
      const added = feed.add(events);
      if (added === 0) return;
      held += added;
      if (state.name === 'live') for (const event of events) fresh.add(event.id);
      redraw();
    },
    onState: (now) => {
      state = now;
      drawState();
      if (now.name === 'refused') askForToken(true);
      redraw();
    },
    onLost: () => note('You were away for longer than events are kept: some between the ones shown here are missing.'),
    onStartOver: () => {
      startOver();
      note('The feed behind this page is a new one. It begins again with the newest events.');
    },
  });
  connection.start();
}

function startOver() {
  feed.clear();
  isPaused = false;
  redraw({ isOther: true });
}

function begin() {
  const given = takeToken();
  drawState();
  if (given) connect(given);
  else askForToken(false);
}

$('pause').addEventListener('click', () => {
  isPaused = !isPaused;
  redraw();
});
$('token-form').addEventListener('submit', (submit) => {
  submit.preventDefault();
  const given = $('token').value.trim();
  $('token').value = '';
  keepToken(given);
  startOver();
  connect(given);
});
$('note-close').addEventListener('click', () => {
  $('note').hidden = true;
});
$('empty-clear').addEventListener('click', () => filters.clear());
$('to-top').addEventListener('click', () => list.toTop());
addEventListener('scroll', () => {
  if (held > 0) redraw();
}, { passive: true });
addEventListener('online', () => connection?.wake());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) connection?.wake();
});
// A new address pasted over this one differs only in its fragment, which loads nothing.
addEventListener('hashchange', () => {
  if (!new URLSearchParams(location.hash.slice(1)).has('token')) return;
  startOver();
  begin();
});
setInterval(() => {
  if (state.name === 'waiting') drawState();
}, 250);

begin();
