// Server-Sent Events and long polls: what the client does where WebSockets do not open.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TICKET, World, live, pushed, replay } from './world.js';

const { deepEqual, equal, rejects } = assert;

const query = ({ url }) => Object.fromEntries(url.searchParams);
const sse = (options, more) => World.start({ transports: ['sse'], ...options }, more);
const poll = (options, more) => World.start({ transports: ['poll'], ...options }, more);
const page = (cursors, next, more = {}) => ({ events: cursors.map((cursor) => ({ id: `evt_${cursor}`, cursor })), next, more: false, ...more });

test('a stream begins with the newest events, goes live, and its ids are where to go on', async () => {
  const world = await sse({ last: 30, cursor: null });
  deepEqual(query(world.request), { ticket: 't1', last: '30' });
  await world.request.stream();
  equal(world.state, 'replaying');
  await world.request.tell(replay('c1', 'c2'));
  await world.request.tell(live('c2'), { id: 'c2x' });
  equal(world.state, 'live');
  equal(world.client.cursor, 'c2x');
  await world.request.tell(pushed('c3'));
  deepEqual(world.ids, ['c1', 'c2', 'c3']);
  equal(world.client.cursor, 'c3');
});

test('a stream that ends is asked for anew, with a fresh ticket and the cursor', async () => {
  const world = await sse({ cursor: 'c1' });
  deepEqual(query(world.request), { ticket: 't1', after: 'c1' });
  await world.request.stream();
  await world.request.tell(pushed('c2'));
  await world.request.end();
  equal(world.state, 'waiting');
  await world.clock.run(250);
  deepEqual(query(world.request), { ticket: 't2', after: 'c2' });
});

test('a stream that hands over is asked for anew at once, and stays live', async () => {
  const world = await sse({ cursor: 'c1' });
  await world.request.stream();
  await world.request.tell(live('c1'));
  await world.clock.run(5_000);
  await world.request.tell({ type: 'reconnect', cursor: 'c5' }, { event: 'reconnect' });
  await world.clock.run(0);
  equal(world.state, 'live');
  deepEqual(query(world.request), { ticket: 't2', after: 'c5' });
  // Not if it hands over again and again.
  await world.request.stream();
  await world.request.tell({ type: 'reconnect', cursor: 'c6' }, { event: 'reconnect' });
  equal(world.state, 'waiting');
  equal(world.client.cursor, 'c6');
});

test('a stream may be cut anywhere, even within a letter and a line’s end', async () => {
  const world = await sse();
  await world.request.stream('');
  const text = ['retry: 1000', ': hello', '', 'id: c1', 'event: events', `data: {"type":"events","events":[{"id":"a",`, 'data: "subject":"Grüße 東京","cursor":"c1"}]}', '', ''].join('\r\n');
  const bytes = new TextEncoder().encode(text);
  for (let n = 0; n < bytes.length; n += 1) await world.request.write(bytes.subarray(n, n + 1));
  deepEqual(world.events, [{ id: 'a', subject: 'Grüße 東京', cursor: 'c1' }]);
  equal(world.client.cursor, 'c1');
});

test('a stream of which nothing comes is held back by something, and polls follow', async () => {
  const world = await World.start({ transports: ['sse', 'poll'] });
  for (const _ of [1, 2]) {
    await world.request.stream('');
    await world.clock.run(15_000);
    equal(world.state, 'waiting');
    await world.clock.run(500);
  }
  equal(world.client.state.transport, 'poll');
});

test('a stream that falls silent is given up; heartbeats keep it', async () => {
  const world = await sse();
  await world.request.stream();
  for (let n = 0; n < 5; n += 1) {
    await world.clock.run(39_999);
    await world.request.write(': heartbeat\n\n');
  }
  equal(world.requests.length, 1);
  await world.clock.run(40_000);
  equal(world.requests[0].signal.aborted, true);
  equal(world.state, 'waiting');
});

test('a ticket that came too late is a failure like another, a missing right is a refusal', async () => {
  const world = await sse();
  await world.request.json(401, { error: { code: 'expired', message: 'the ticket has expired' } });
  equal(world.client.state.error.code, 'expired');
  equal(world.state, 'waiting');
  await world.clock.run(250);
  await world.request.json(403, { error: { code: 'forbidden', message: 'no right to read' } });
  equal(world.state, 'refused');
});

test('a 403 that is not in the server’s words is of something in between, and no refusal', async () => {
  const world = await World.start({ transports: ['sse', 'poll'] });
  for (const _ of [1, 2]) {
    await world.request.json(403, null);
    equal(world.state, 'waiting');
    await world.clock.run(500);
  }
  equal(world.client.state.transport, 'poll');
});

test('a stream that says that the rights have expired asks for another ticket', async () => {
  const world = await sse({ cursor: 'c1' });
  await world.request.stream();
  await world.request.tell({ type: 'error', code: 'expired', message: 'the token has expired', cursor: 'c4' }, { event: 'error' });
  equal(world.client.state.error.code, 'expired');
  equal(world.client.cursor, 'c4');
  await world.clock.run(250);
  equal(world.tickets, 2);
});

test('a callback that refuses a ticket between two streams refuses the client', async () => {
  const world = await sse();
  await world.request.stream();
  await world.clock.run(5_000);
  world.ticket = () => Promise.reject(Object.assign(new Error('expired'), { status: 401 }));
  await world.request.tell({ cursor: 'c5' }, { event: 'reconnect' });
  equal(world.state, 'refused');
});

for (const [what, start] of [['stream', sse], ['poll', poll]]) {
  test(`a ${what} with a cursor that the server does not know starts over`, async () => {
    const world = await start({ cursor: 'old', last: 7 });
    await world.request.json(400, { error: { code: 'bad_cursor', message: 'of another feed' } });
    await world.clock.run(0);
    deepEqual(world.told, ['bad_cursor']);
    equal(world.request.url.searchParams.get('after'), null);
    equal(world.request.url.searchParams.get('last'), what === 'stream' ? '7' : null);
  });

  test(`a ${what} with another filter is asked for anew, and a refused filter leaves the one before`, async () => {
    const world = await start({ cursor: 'c1', filter: 'type:open' });
    equal(world.request.url.searchParams.get('filter'), 'type:open');
    if (what === 'poll') await world.request.json(200, page([], 'c1'));
    else await world.request.stream();
    equal(world.client.filter, 'type:open');
    const refused = rejects(world.client.subscribe({ filter: 'typ:open' }), { code: 'bad_filter', message: 'at 0' });
    await world.clock.run(0);
    equal(world.request.url.searchParams.get('filter'), 'typ:open');
    await world.request.json(400, { error: { code: 'bad_filter', message: 'at 0' } });
    await refused;
    await world.clock.run(0);
    equal(world.request.url.searchParams.get('filter'), 'type:open');
    const asked = world.client.subscribe({ filter: 'type:click' });
    await world.clock.run(0);
    if (what === 'poll') await world.request.json(200, page([], 'c1'));
    else await world.request.stream();
    equal(await asked, 'type:click');
  });

  test(`a ${what} is made anew when the computer has slept or the network changed, not when a tab is shown`, async () => {
    const world = await start({ cursor: 'c1' });
    await world.page.show(true);
    equal(world.requests.length, 1);
    await world.window.tell('online');
    equal(world.requests.length, 2);
    equal(world.requests[0].signal.aborted, true);
  });

  test(`a ${what} whose network fails is repeated after a wait`, async () => {
    const world = await start({ cursor: 'c1' });
    await world.request.fail();
    equal(world.state, 'waiting');
    await world.clock.run(250);
    equal(world.requests.length, 2);
  });
}

test('polls catch up without waiting, then wait, always from the last answer', async () => {
  const world = await poll({ cursor: 'c1' });
  deepEqual(query(world.request), { ticket: 't1', after: 'c1', wait: '0', limit: '1000' });
  await world.request.json(200, page(['c2'], 'c2x', { more: true }));
  equal(world.state, 'replaying');
  deepEqual(query(world.request), { ticket: 't1', after: 'c2x', wait: '0', limit: '1000' });
  await world.request.json(200, page(['c2', 'c3'], 'c3x'));
  equal(world.state, 'live');
  equal(query(world.request).wait, '20');
  await world.clock.run(20_000);
  await world.request.json(200, page([], 'c3y'));
  equal(query(world.request).after, 'c3y');
  deepEqual(world.ids, ['c2', 'c3']);
});

test('polls take a fresh ticket before theirs expires', async () => {
  const world = await poll({ cursor: 'c1' });
  await world.request.json(200, page([], 'c1'));
  for (const ticket of ['t1', 't1', 't1', 't2']) {
    equal(query(world.request).ticket, ticket);
    await world.clock.run(20_000);
    await world.request.json(200, page([], 'c1'));
  }
});

test('a poll that something answers at once is not repeated more than once a second', async () => {
  const world = await poll({ cursor: 'c1' });
  await world.request.json(200, page([], 'c1'));
  await world.request.json(200, page([], 'c1'));
  await world.clock.run(999);
  equal(world.requests.length, 2);
  await world.clock.run(1);
  equal(world.requests.length, 3);
});

test('a poll that is not answered in time has failed', async () => {
  const world = await poll({ cursor: 'c1' });
  await world.request.json(200, page([], 'c1'));
  await world.clock.run(39_999);
  equal(world.state, 'live');
  await world.clock.run(1);
  equal(world.state, 'waiting');
});

test('a poll tells when what was missed is no longer kept', async () => {
  const world = await poll({ cursor: 'a1' });
  await world.request.json(200, page(['c1'], 'c1', { recovered: false }));
  deepEqual(world.told, ['lost']);
});

test('polls tell so whichever of the pages says it', async () => {
  const world = await poll({ cursor: 'a1' });
  await world.request.json(200, page(['b1'], 'b1', { more: true, recovered: false }));
  deepEqual(world.told, []);
  await world.request.json(200, page(['c1'], 'c1', { recovered: true }));
  deepEqual(world.told, ['lost']);
  await world.request.json(200, page(['c2'], 'c2', { recovered: true }));
  deepEqual(world.told, ['lost']);
});

test('a stream that hands over before it is live tells so when the next is', async () => {
  const world = await sse({ cursor: 'a1' });
  await world.request.stream();
  await world.clock.run(5_000);
  await world.request.tell({ type: 'reconnect', recovered: false, cursor: 'b5' }, { event: 'reconnect' });
  await world.clock.run(0);
  deepEqual(world.told, []);
  await world.request.stream();
  await world.request.tell(live('c1'));
  deepEqual(world.told, ['lost']);
});
