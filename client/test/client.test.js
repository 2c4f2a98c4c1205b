// When the client connects, when it does not, and by which transport.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TICKET, World, event, live, pushed, replay, settle } from './world.js';

const { deepEqual, equal, rejects } = assert;

const answer = (status, body) => ({ ok: status < 300, status, json: async () => body });

test('tells its states from the first to the last', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.socket.drop();
  await world.clock.run(250);
  world.client.close();
  deepEqual(world.names, ['connecting', 'replaying', 'live', 'waiting', 'connecting', 'stopped'].slice(1));
  deepEqual(world.states.map(({ transport }) => transport), Array(5).fill('websocket'));
});

test('takes the response of a request for a ticket', async () => {
  const world = await World.start({}, { ticket: () => answer(201, TICKET) });
  equal(world.socket.url.href, TICKET.url);
});

for (const [what, ticket] of [
  ['a response with 401', () => answer(401, { error: { code: 'expired', message: 'the token has expired' } })],
  ['a rejection with 403', () => Promise.reject(Object.assign(new Error('the token has expired'), { status: 403 }))],
]) {
  test(`is refused by ${what}, and connects again when it is told to`, async () => {
    const world = await World.start({}, { ticket });
    equal(world.state, 'refused');
    equal(world.client.state.error.message, 'the token has expired');
    await world.clock.run(600_000);
    equal(world.tickets, 1);
    await world.page.show(true);
    await world.window.tell('online');
    equal(world.tickets, 1);
    world.ticket = () => TICKET;
    world.client.start();
    await settle();
    equal(world.sockets.length, 1);
  });
}

for (const [what, ticket] of [
  ['a response with 503', () => answer(503, { error: { code: 'unavailable', message: 'later' } })],
  ['a page of a proxy', () => ({ ok: false, status: 502, json: () => Promise.reject(new SyntaxError('<')) })],
  ['a network that is away', () => Promise.reject(new TypeError('no network'))],
  ['a callback that throws', () => { throw new Error('oh'); }],
  ['a callback that never answers', () => new Promise(() => {})],
]) {
  test(`${what} in place of a ticket is asked again`, async () => {
    const world = await World.start({}, { ticket });
    await world.clock.run(15_000);
    equal(world.names.includes('waiting'), true);
    const { error } = world.states.find(({ name }) => name === 'waiting');
    equal(error instanceof Error, what !== 'a callback that never answers');
    world.ticket = () => TICKET;
    await world.clock.run(15_000);
    equal(world.sockets.length, 1);
  });
}

test('waits twice as long each time, up to fifteen seconds, by a random part of it', async () => {
  const world = await World.start({ transports: ['websocket'] });
  const waits = [];
  for (let n = 0; n < 9; n += 1) {
    world.random = n === 8 ? 0.5 : 1;
    await world.socket.drop();
    waits.push(world.client.state.until - world.clock.time);
    await world.clock.run(15_000);
  }
  deepEqual(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 7_500]);
});

test('begins the waits anew only when a connection has lasted, as a server may accept and close at once', async () => {
  const world = await World.start();
  const wait = async () => {
    await world.socket.drop();
    const wait_ms = world.client.state.until - world.clock.time;
    await world.clock.run(wait_ms);
    return wait_ms;
  };
  await world.socket.begin('c1');
  equal(await wait(), 250);
  await world.socket.begin('c1');
  equal(await wait(), 500);
  await world.socket.begin('c1');
  await world.clock.run(2_000);
  equal(await wait(), 250);
});

test('a socket that does not open in fifteen seconds has failed', async () => {
  const world = await World.start();
  await world.clock.run(14_999);
  equal(world.state, 'connecting');
  await world.clock.run(1);
  equal(world.state, 'waiting');
  equal(world.socket.isClosed, true);
});

test('an address that is none has failed', async () => {
  const world = await World.start({}, { ticket: () => ({ ...TICKET, url: 'no address' }) });
  await world.clock.run(0);
  equal(world.state, 'waiting');
});

test('stops by its signal, also before it has begun, and leaves nothing behind', async () => {
  const controller = new AbortController();
  const world = await World.start({ signal: controller.signal });
  await world.socket.begin('c1');
  controller.abort();
  equal(world.state, 'stopped');
  equal(world.socket.isClosed, true);
  equal(world.page.count + world.window.count, 0);
  await world.clock.run(600_000);
  equal(world.tickets, 1);
  await rejects(world.client.subscribe({}), { code: 'stopped' });
  const other = await World.start({ signal: controller.signal });
  equal(other.state, 'stopped');
  equal(other.tickets, 0);
});

test('a ticket that comes after the end is not used', async () => {
  let give;
  let signal;
  const world = await World.start({}, { ticket: (context) => new Promise((resolve) => ((give = resolve), ({ signal } = context))) });
  world.client.close();
  equal(signal.aborted, true);
  give(TICKET);
  await settle();
  equal(world.sockets.length, 0);
});

test('a tab that is hidden for five minutes gives its connection up, and gets it back when it is shown', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.looks('c1');
  await world.clock.run(47_999);
  for (let minute = 0; minute < 5; minute += 1) {
    await world.clock.run(1);
    await world.socket.say({ type: 'pong' });
    if (minute === 0) await world.page.show(false);
    await world.clock.run(59_999);
  }
  equal(world.state, 'live');
  await world.clock.run(1);
  deepEqual({ ...world.client.state }, { name: 'paused', transport: 'websocket', why: 'hidden' });
  await world.clock.run(3_600_000);
  equal(world.tickets, 1);
  await world.page.show(true);
  await world.socket.open();
  deepEqual(world.socket.resumes, ['c1']);
});

test('a tab that is shown again in time keeps its connection, and asks at once whether it lives', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.page.show(false);
  await world.clock.run(1_000);
  await world.page.show(true);
  deepEqual(world.socket.sent.at(-1), { action: 'ping' });
  await world.clock.run(4_000);
  equal(world.state, 'waiting');
});

test('a hidden tab may keep its connection', async () => {
  const world = await World.start({ pauseHidden: false });
  await world.socket.begin('c1');
  await world.page.show(false);
  await world.clock.run(400_000);
  equal(world.names.includes('paused'), false);
});

test('pauses when it is told to, also over a tab that comes and goes, until it is told to start', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  world.client.pause();
  equal(world.client.state.why, 'asked');
  await world.page.show(false);
  await world.clock.run(600_000);
  await world.page.show(true);
  await world.clock.run(600_000);
  equal(world.sockets.length, 1);
  equal(world.client.state.why, 'asked');
  world.client.start();
  await settle();
  await world.socket.open();
  deepEqual(world.socket.resumes, ['c1']);
});

for (const [what, wake] of [
  ['the network is back', (world) => world.window.tell('online')],
  ['the tab is shown', (world) => world.page.show(true)],
  ['the page comes back from the history', (world) => world.window.tell('pageshow', { persisted: true })],
  ['a frozen page goes on', (world) => world.page.tell('resume')],
]) {
  test(`does not wait any longer when ${what}`, async () => {
    const world = await World.start({ transports: ['websocket'] });
    for (let n = 0; n < 7; n += 1) {
      await world.socket.drop();
      if (n < 6) await world.clock.run(15_000);
    }
    equal(world.state, 'waiting');
    await wake(world);
    equal(world.state, 'connecting');
    await world.socket.begin('c1');
    await wake(world);
    deepEqual(world.socket.sent.at(-1), { action: 'ping' });
    await world.socket.say({ type: 'pong' });
    await world.clock.run(5_000);
    equal(world.state, 'live');
  });
}

test('a page that is shown for the first time is left alone', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.window.tell('pageshow', { persisted: false });
  deepEqual(world.socket.resumes, [100]);
  equal(world.socket.sent.length, 1);
});

test('finds out that the computer slept by the clock, and gives up what does not answer', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.looks('c1');
  world.clock.sleep(3_600_000);
  // Within ten seconds it is found out, and four seconds are given for an answer.
  equal(world.socket.sent.at(-1).action, 'resume');
  await world.clock.run(14_250);
  equal(world.sockets[0].sent.at(-1).action, 'ping');
  await world.socket.open();
  deepEqual(world.socket.resumes, ['c1']);
});

test('is not woken by timers that a hidden tab lets wait for a minute', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.looks('c1');
  await world.clock.run(8_000);
  world.clock.stall(70_000);
  await world.clock.run(0);
  equal(world.socket.sent.filter(({ action }) => action === 'ping').length, 1);
  await world.clock.run(5_000);
  equal(world.state, 'live');
});

test('two sockets that do not open while tickets are answered lead to Server-Sent Events', async () => {
  const world = await World.start();
  await world.blockWebSockets();
  equal(world.sockets.length, 2);
  equal(world.client.state.transport, 'sse');
  equal(world.request.url.pathname, '/v1/stream');
});

test('sockets that open and bring nothing lead there as well', async () => {
  const world = await World.start();
  for (const _ of [1, 2]) {
    await world.socket.open();
    await world.socket.say({ message: 'Forbidden', requestId: 'r' });
    await world.clock.run(30_250);
  }
  equal(world.client.state.transport, 'sse');
});

test('a network without tickets leads nowhere else', async () => {
  const world = await World.start();
  await world.socket.drop();
  world.ticket = () => Promise.reject(new TypeError('no network'));
  await world.clock.run(60_000);
  world.ticket = () => TICKET;
  await world.clock.run(15_000);
  equal(world.client.state.transport, 'websocket');
});

test('sockets that worked before and are cut do not lead there', async () => {
  const world = await World.start();
  for (let n = 0; n < 6; n += 1) {
    await world.socket.begin('c1');
    await world.socket.drop();
    await world.clock.run(15_000);
  }
  equal(world.client.state.transport, 'websocket');
});

test('goes on from transport to transport, past those that the deployment leaves out, and round again', async () => {
  const world = await World.start({}, { ticket: () => ({ ...TICKET, stream_url: null }) });
  await world.blockWebSockets();
  equal(world.request.url.pathname, '/v1/events');
  for (const _ of [1, 2]) {
    await world.request.fail();
    await world.clock.run(15_000);
  }
  equal(world.client.state.transport, 'websocket');
});

test('stays with WebSockets where there is nothing else, and where nothing else is wanted', async () => {
  for (const [options, ticket] of [
    [{}, () => ({ ticket: 't', url: TICKET.url })],
    [{ transports: ['websocket'] }, () => TICKET],
  ]) {
    const world = await World.start(options, { ticket });
    await world.blockWebSockets();
    equal(world.sockets.length, 3);
    equal(world.client.state.transport, 'websocket');
  }
});

test('waits where no transport can be used', async () => {
  const world = await World.start({ transports: ['sse'] }, { ticket: () => ({ ...TICKET, stream_url: null }) });
  equal(world.client.state.error.code, 'no_transport');
});

test('tries the WebSocket again beside a fallback after five minutes, and changes over when it brings something', async () => {
  const world = await World.start({}, { random: 0 });
  await world.blockWebSockets();
  const { request } = world;
  await request.stream();
  await request.tell(live('c1'));
  equal(world.state, 'live');
  for (let heartbeat = 0; heartbeat < 10; heartbeat += 1) {
    await world.clock.run(29_999);
    await request.write(':\n\n');
  }
  equal(world.sockets.length, 2);
  await world.clock.run(10);
  equal(world.sockets.length, 3);
  // This one fails: the fallback goes on, and some minutes later there is another.
  await world.socket.drop();
  equal(world.state, 'live');
  await request.tell(pushed('c2'));
  for (let heartbeat = 0; heartbeat < 10; heartbeat += 1) {
    await world.clock.run(30_000);
    await request.write(':\n\n');
  }
  await world.clock.run(10);
  equal(world.sockets.length, 4);
  equal(request.signal.aborted, false);
  // Nor does one that opens and brings nothing cost the fallback anything.
  await world.socket.open();
  deepEqual([world.state, world.client.state.transport], ['live', 'sse']);
  await world.clock.run(30_000);
  equal(world.socket.isClosed, true);
  await request.tell(pushed('c3'));
  for (let heartbeat = 0; heartbeat < 10; heartbeat += 1) {
    await world.clock.run(30_000);
    await request.write(':\n\n');
  }
  await world.clock.run(10);
  equal(world.sockets.length, 5);
  await world.socket.open();
  deepEqual(world.socket.resumes, ['c3']);
  equal(request.signal.aborted, false);
  await request.tell(pushed('c4'));
  await world.socket.say(replay('c4', 'c5'), live('c5'));
  equal(request.signal.aborted, true);
  deepEqual(world.ids.slice(-3), ['c3', 'c4', 'c5']);
  equal(world.client.state.transport, 'websocket');
  equal(world.state, 'live');
});

test('for await takes the events in batches, and leaving the loop closes the client', async () => {
  const world = await World.start({ onEvents: undefined });
  const { client } = world;
  await world.socket.open();
  await world.socket.say(replay('c1', 'c2'), replay('c3'), live('c4'));
  const taken = [];
  for await (const events of client) {
    taken.push([events.map(({ cursor }) => cursor), client.cursor]);
    if (taken.length === 2) break;
  }
  // What was not taken yet is not behind the cursor that one keeps.
  deepEqual(taken, [[['c1', 'c2'], 'c2'], [['c3'], 'c4']]);
  equal(client.state.name, 'stopped');
});

test('for await waits for events, and ends with the client', async () => {
  const world = await World.start({ onEvents: undefined });
  const taken = [];
  const loop = (async () => {
    for await (const events of world.client) taken.push(...events);
  })();
  await world.socket.begin('c1', 'c2');
  await world.socket.say(pushed('c3'));
  deepEqual(taken.map(({ cursor }) => cursor), ['c1', 'c2', 'c3']);
  world.client.close();
  await loop;
});

test('for await throws when the client is refused', async () => {
  const world = await World.start({ onEvents: undefined }, { ticket: () => answer(401, {}) });
  await rejects(world.client[Symbol.asyncIterator]().next(), { status: 401 });
});

test('a loop that is too slow gives the connection up, and gets it back from there when it has caught up', async () => {
  const world = await World.start({ onEvents: undefined, buffer: 10 });
  const many = (from) => ({ type: 'events', replay: true, events: [0, 1, 2, 3].map((n) => event(`c${from + n}`)), cursor: `c${from + 3}` });
  await world.socket.open();
  await world.socket.say(many(10), many(20));
  equal(world.state, 'replaying');
  await world.socket.say(many(30));
  deepEqual([world.state, world.client.state.why], ['paused', 'full']);
  equal(world.socket.isClosed, true);
  const loop = world.client[Symbol.asyncIterator]();
  await loop.next();
  equal(world.state, 'paused');
  await loop.next();
  await settle();
  equal(world.state, 'connecting');
  await world.socket.open();
  deepEqual(world.socket.resumes, ['c33']);
  equal(world.client.cursor, 'c23');
  // A gap takes back what one keeps as well.
  await world.socket.say(live('c33'), { type: 'gap', cursor: 'c21' });
  equal(world.client.cursor, 'c21');
  await loop.next();
  equal(world.client.cursor, 'c21');
});

test('a loop that is too slow gives the connection up again when something else has brought it back', async () => {
  const world = await World.start({ onEvents: undefined, buffer: 10 });
  const many = (from) => ({ type: 'events', replay: true, events: Array.from({ length: 11 }, (_, n) => event(`c${from + n}`)), cursor: `c${from + 10}` });
  await world.socket.open();
  await world.socket.say(many(100));
  equal(world.client.state.why, 'full');
  await world.page.show(false);
  await world.clock.run(300_000);
  await world.page.show(true);
  await world.socket.open();
  equal(world.state, 'replaying');
  await world.socket.say(many(200));
  deepEqual([world.state, world.client.state.why], ['paused', 'full']);
  await world.clock.run(600_000);
  equal(world.sockets.length, 2);
});

test('events go to a callback or to a loop, not to both', async () => {
  const world = await World.start();
  await rejects(world.client[Symbol.asyncIterator]().next(), TypeError);
});

/** Takes the errors that the page's console would show. */
function reported(t) {
  const errors = [];
  const { queueMicrotask } = globalThis;
  t.mock.method(globalThis, 'queueMicrotask', (then) =>
    queueMicrotask(() => {
      try {
        then();
      } catch (error) {
        errors.push(error.message);
      }
    }),
  );
  return errors;
}

test('callbacks that throw break nothing, and what they throw is reported', async (t) => {
  const errors = reported(t);
  const fail = (name) => () => {
    throw new Error(name);
  };
  const world = await World.start({ cursor: 'a1', ...Object.fromEntries(['onEvents', 'onState', 'onLost', 'onReset'].map((name) => [name, fail(name)])) });
  await world.socket.open();
  await world.socket.say(replay('c1'), live('c2', false));
  equal(world.client.cursor, 'c2');
  equal(world.state, 'live');
  const asked = world.client.subscribe({ last: 2 });
  await world.socket.say({ type: 'subscribed', filter: '', cursor: 'c2' });
  equal(await asked, '');
  await world.socket.drop();
  await world.clock.run(250);
  await world.socket.begin('c3');
  equal(world.state, 'live');
  deepEqual(new Set(errors), new Set(['onState', 'onEvents', 'onLost', 'onReset']));
});

test('a callback that throws costs a stream nothing', async (t) => {
  const errors = reported(t);
  const world = await World.start({
    transports: ['sse'],
    onEvents: () => {
      throw new Error('of the user');
    },
  });
  await world.request.stream();
  await world.request.tell(replay('c1', 'c2'));
  await world.request.tell(live('c2'));
  equal(world.state, 'live');
  equal(world.requests.length, 1);
  deepEqual(errors, ['of the user']);
});
