// Wires the parts together. Events go from the connection into the feed at once; the document follows
// once per animation frame, however many came.

import { Feed, LIMIT } from './feed.js';
import { Filters } from './filters.js';
import { number } from './format.js';
import { List } from './list.js';
import { Panel } from './panel.js';
import { connect } from './posthorn-client.js';
import { fetchEvent, fetchTicket, keepToken, loadConfig, takeToken } from './session.js';

// How many events the page begins with, also under another filter.
const FIRST_EVENTS = 200;

const $ = (id) => document.getElementById(id);

const feed = new Feed();
const config = await loadConfig();

let client = null;
let token = '';
let state = { name: 'stopped' };
let isPaused = false;
// Under another filter, what was shown stays until the server has found something.
let isSearching = false;
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

const filters = new Filters({ chips: $('chips'), search: $('search'), refusal: $('refusal'), onChange: (text) => filterBy(text) });

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
  if (!isPaused && !isReading && !isSearching) {
    drawn = feed.events;
    held = 0;
  }
  list.show(drawn, fresh);
  $('table').ariaBusy = String(isSearching);
  fresh = new Set();
  filters.draw(feed.kinds);
  $('filters').hidden = feed.events.length === 0 && !isFiltered() && filters.text === '';
  drawCount();
  drawEmpty();
  drawHeld(isReading);
}

/** Whether the server filters for us. */
function isFiltered() {
  return Boolean(client?.filter);
}

/** Long polls begin with the present, also under another filter. */
function isPolling() {
  return state.transport === 'poll';
}

function drawCount() {
  const all = drawn.length;
  const noun = all === 1 ? 'event' : 'events';
  put($('count'), isSearching ? 'Searching…' : `${number(all)} ${isFiltered() ? `matching ${noun}` : noun}`);
  put(
    $('foot'),
    all >= LIMIT
      ? `This page keeps the newest ${number(LIMIT)} events. Older ones are in the store.`
      : all === 0
        ? ''
        : isFiltered()
          ? isPolling()
            ? 'These match, of what has come to this page. By polling it does not look for earlier ones.'
            : 'These are the newest that match, of the last 10,000 that were stored, and those that came since.'
          : `That is all this page has. It keeps up to ${number(LIMIT)} events and shows the newest first.`,
  );
}

function drawEmpty() {
  const isEmpty = drawn.length === 0 && $('token-section').hidden;
  $('empty').hidden = !isEmpty;
  $('table').hidden = drawn.length === 0;
  if (!isEmpty) return;
  const isLive = state.name === 'live';
  $('empty-command').hidden = isFiltered() || !isLive;
  $('empty-clear').hidden = !isFiltered() || !isLive;
  const [heading, text] = emptyWords(isLive);
  put($('empty-heading'), heading);
  put($('empty-text'), text);
}

function emptyWords(isLive) {
  if (isSearching) return ['Searching', isPolling() ? 'By polling, only what comes from now on is found.' : 'The server looks through the last 10,000 events.'];
  if (!isLive) return ['Waiting for the feed', 'Events appear here as soon as the connection stands.'];
  if (!isFiltered()) {
    return [isPolling() ? 'Nothing new yet' : 'No events yet', 'The next one appears here as soon as it is stored. To see some now, run:'];
  }
  const next = 'The next one that does appears here as soon as it is stored.';
  if (isPolling()) return ['Nothing new yet', `No event that fits the filter has come. By polling, this page does not look for earlier ones. ${next}`];
  return ['No event matches', `None of the last 10,000 events fits the filter. ${next}`];
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
      : {
          connecting: 'Connecting',
          replaying: 'Replaying',
          live: 'Live',
          paused: 'Resting',
          refused: 'Token refused',
          stopped: 'No token',
        }[state.name],
  );
  const way = state.name === 'live' ? { sse: 'by stream', poll: 'by polling' }[state.transport] : '';
  put($('state-more'), left_s > 0 ? `in ${left_s} s` : isAgain ? 'now' : (way ?? ''));
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

function open(given) {
  token = given;
  const filter = client?.filter;
  client?.close();
  $('token-section').hidden = true;
  client = connect({
    ticket: ({ signal }) => fetchTicket(config, given, signal),
    filter,
    last: FIRST_EVENTS,
    onEvents: (events) => {
      const added = feed.add(events);
      if (added === 0) return;
      isSearching = false;
      held += added;
      if (state.name === 'live') for (const event of events) fresh.add(event.id);
      redraw();
    },
    onState: (now) => {
      state = now;
      drawState();
      if (now.name === 'refused') askForToken(true);
      if (now.name === 'live') isSearching = false;
      redraw();
    },
    onLost: () => note('You were away for longer than events are kept: some between the ones shown here are missing.'),
    onReset: (why) => {
      startOver();
      if (why === 'filter') {
        isSearching = true;
        return;
      }
      filters.forget();
      note('The feed behind this page is a new one. It begins again with the newest events.');
    },
  });
}

async function filterBy(filter) {
  try {
    await client?.subscribe({ filter, last: FIRST_EVENTS });
  } catch (error) {
    // A later filter, or another token, has taken its place.
    if (error.code === 'superseded' || error.code === 'stopped') return;
    filters.refused(error.message);
    return redraw();
  }
  filters.refused(null);
  redraw();
}

function startOver() {
  feed.clear();
  isPaused = isSearching = false;
  held = 0;
  redraw({ isOther: true });
}

function begin() {
  const given = takeToken();
  drawState();
  if (given) open(given);
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
  open(given);
});
$('note-close').addEventListener('click', () => {
  $('note').hidden = true;
});
$('empty-clear').addEventListener('click', () => filters.clear());
$('to-top').addEventListener('click', () => list.toTop());
addEventListener('scroll', () => {
  if (held > 0) redraw();
}, { passive: true });
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
