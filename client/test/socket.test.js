// The rules of docs/API.md, "Rules for a client that misses nothing", on one WebSocket.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World, event, live, pushed, replay } from './world.js';

const { deepEqual, equal, rejects } = assert;

test('asks for the newest events first, and looks again two and twelve seconds later from the cursor', async () => {
  const { socket, clock } = await World.start({ last: 200 });
  await socket.open();
  deepEqual(socket.resumes, [200]);
  await socket.say(replay('c1', 'c2'), live('c2'));
  await clock.run(1_999);
  equal(socket.resumes.length, 1);
  await clock.run(1);
  deepEqual(socket.resumes, [200, 'c2']);
  await socket.say(live('c3'));
  await clock.run(9_999);
  equal(socket.resumes.length, 2);
  await clock.run(1);
  deepEqual(socket.resumes, [200, 'c2', 'c3']);
  await socket.say(live('c3'));
  await clock.run(45_000);
  equal(socket.resumes.length, 3);
});

test('begins with as many events as were asked for, though a later look reads further back', async () => {
  const { socket, client, clock, events } = await World.start({ last: 2 });
  await socket.begin('c8', 'c9');
  await clock.run(2_000);
  await socket.say(replay('c5', 'c6', 'c7', 'c8', 'c9', 'd1'), live('d1'));
  deepEqual(events.map(({ cursor }) => cursor), ['c8', 'c9', 'd1']);
  // What is pushed is new, wherever it stands.
  await socket.say(pushed('c4'));
  equal(events.length, 4);
  client.subscribe({ last: 3 });
  await socket.say({ type: 'subscribed', filter: '', cursor: 'd1' }, replay('c2', 'c3', 'c4'), live('d1'));
  await clock.run(2_000);
  await socket.say(replay('c1', 'c2', 'd2'), live('d2'));
  deepEqual(events.slice(4).map(({ cursor }) => cursor), ['c2', 'c3', 'c4', 'd2']);
});

test('with fewer events than were asked for, one that comes late is shown wherever it stands', async () => {
  const { socket, clock, events } = await World.start({ last: 3 });
  await socket.begin('c8', 'c9');
  await clock.run(2_000);
  await socket.say(replay('c5', 'c8', 'c9'), live('c9'));
  await clock.run(10_000);
  await socket.say(replay('c4', 'c5'), live('c9'));
  deepEqual(events.map(({ cursor }) => cursor), ['c8', 'c9', 'c5', 'c4']);
});

test('a first replay that was cut off goes on until it has as many as were asked for', async () => {
  const world = await World.start({ last: 3 });
  await world.socket.open();
  await world.socket.say(replay('c7', 'c8'));
  await world.socket.drop();
  await world.clock.run(250);
  await world.socket.begin('c8', 'c9');
  await world.clock.run(2_000);
  await world.socket.say(replay('c6', 'c7', 'c9'), live('c9'));
  deepEqual(world.ids, ['c7', 'c8', 'c9']);
});

test('with a cursor everything is shown that comes', async () => {
  const world = await World.start({ cursor: 'c7', last: 1 });
  await world.socket.begin('c8', 'c9');
  await world.clock.run(2_000);
  await world.socket.say(replay('c6'), live('c9'));
  deepEqual(world.ids, ['c8', 'c9', 'c6']);
});

test('goes on where another client stopped', async () => {
  const { socket, client } = await World.start({ cursor: 'c7' });
  await socket.open();
  deepEqual(socket.resumes, ['c7']);
  equal(client.cursor, 'c7');
});

test('connects with the ticket, which is got anew for every connection', async () => {
  const world = await World.start();
  equal(world.socket.url.searchParams.get('ticket'), 't1');
  await world.socket.drop();
  await world.clock.run(250);
  equal(world.socket.url.searchParams.get('ticket'), 't2');
});

test('a look that is due while a resume runs follows it', async () => {
  const { socket, clock } = await World.start();
  await socket.open();
  await clock.run(2_000);
  deepEqual(socket.resumes, [100]);
  await socket.say(live('c1'));
  deepEqual(socket.resumes, [100, 'c1']);
});

test('two looks that are late become one', async () => {
  const { socket, clock } = await World.start();
  await socket.begin('c1');
  clock.stall(20_000);
  await clock.run(1);
  await socket.say(live('c2'));
  deepEqual(socket.resumes, [100, 'c1']);
});

test('looks are made though the clock is set back, even while a resume runs', async () => {
  const world = await World.start();
  const { socket, clock, client } = world;
  await socket.begin('c1');
  client.subscribe({ filter: 'type:open' });
  await socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c1' });
  clock.sleep(-3_600_000);
  await clock.run(2_000);
  clock.sleep(-3_600_000);
  await socket.say(live('c2'), pushed('c3'));
  deepEqual(socket.resumes, [100, 'c1', 'c2']);
  deepEqual(world.ids, ['c3']);
  await socket.say(live('c3'));
  clock.sleep(-3_600_000);
  await clock.run(10_000);
  deepEqual(socket.resumes, [100, 'c1', 'c2', 'c3']);
  await socket.say(live('c3'), pushed('c4'));
  equal(client.cursor, 'c4');
});

test('only replay moves the cursor until the feed is live', async () => {
  const { socket, client, events } = await World.start();
  await socket.open();
  await socket.say(replay('c1', 'c5'), pushed('c9'));
  equal(client.cursor, 'c5');
  equal(events.length, 3);
});

test('until the last look a live event does not move the cursor, as something before it may be missing', async () => {
  const { socket, client, clock } = await World.start();
  await socket.begin('c1');
  await socket.say(pushed('c9'));
  equal(client.cursor, 'c1');
  await clock.run(2_000);
  await socket.say(live('c9'), pushed('d1'));
  equal(client.cursor, 'c9');
  await clock.run(10_000);
  await socket.say(live('d1'), pushed('d2'));
  equal(client.cursor, 'd2');
});

test('a look that its timer is late for is made before a live event is taken', async () => {
  const { socket, clock } = await World.start();
  await socket.begin('c1');
  clock.stall(60_000);
  await socket.say(pushed('c9'));
  deepEqual(socket.resumes, [100, 'c1']);
});

test('what is pushed moves the cursor forwards only, and so does a replay that reads back', async () => {
  const { socket, client, clock } = await World.start();
  await socket.begin('c1');
  await clock.run(2_000);
  await socket.say(live('c5'));
  await clock.run(10_000);
  await socket.say(replay('c2', 'c3'));
  equal(client.cursor, 'c5');
  await socket.say(live('c5'), pushed('c9'), pushed('c7'));
  equal(client.cursor, 'c9');
});

test('a resume that is too long for one answer is continued at once, with a cursor that is not kept', async () => {
  const { socket, client } = await World.start();
  await socket.open();
  await socket.say(replay('c4'), { type: 'continue', cursor: 'c1+' });
  deepEqual(socket.resumes, [100, 'c1+']);
  equal(client.cursor, 'c4');
});

test('shows an event once', async () => {
  const { socket, events } = await World.start();
  await socket.open();
  await socket.say(replay('c1', 'c2'), pushed('c2', 'c3'), live('c3'), pushed('c3', 'c1'));
  deepEqual(events.map(({ cursor }) => cursor), ['c1', 'c2', 'c3']);
});

test('remembers ids in bounded memory, the newest ten thousand at least', async () => {
  const world = await World.start();
  const { socket } = world;
  await socket.begin('c0');
  const many = (from, count) => ({ type: 'events', events: Array.from({ length: count }, (_, n) => event(`e${from + n}`)), cursor: 'c1' });
  await socket.say(many(0, 9_999));
  await socket.say(many(0, 9_999));
  equal(world.events.length, 9_999);
  await socket.say(many(10_000, 15_000));
  await socket.say(many(15_001, 9_999));
  equal(world.events.length, 24_999);
  await socket.say(many(0, 1));
  equal(world.events.length, 25_000);
});

test('pings every minute', async () => {
  const world = await World.start();
  const { socket, clock } = world;
  const pings = () => socket.sent.filter(({ action }) => action === 'ping').length;
  await socket.begin('c1');
  await world.looks('c1');
  await clock.run(47_999);
  equal(pings(), 0);
  for (const count of [1, 2]) {
    await clock.run(1);
    equal(pings(), count);
    await socket.say({ type: 'pong' });
    await clock.run(59_999);
  }
  equal(world.state, 'live');
});

test('a ping without an answer in ten seconds ends the connection', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.looks('c1');
  await world.clock.run(57_999);
  equal(world.state, 'live');
  await world.clock.run(1);
  equal(world.state, 'waiting');
  equal(world.socket.isClosed, true);
});

test('fills a gap from where it began, even before the cursor, and looks twice more', async () => {
  const world = await World.start();
  const { socket } = world;
  await socket.begin('c1');
  await world.looks('c5');
  await socket.say({ type: 'gap', cursor: 'b3' });
  equal(world.state, 'replaying');
  await socket.say(replay('b4'), live('c6'));
  equal(world.state, 'live');
  await world.looks('c6');
  deepEqual(socket.resumes, [100, 'c1', 'c5', 'b3', 'c6', 'c6']);
});

test('a gap that is told during a resume is filled after it, from the earliest', async () => {
  const { socket } = await World.start();
  await socket.open();
  await socket.say({ type: 'gap', cursor: 'b3' }, { type: 'gap', cursor: 'b5' }, replay('c1'), live('c1'));
  deepEqual(socket.resumes, [100, 'b3']);
});

test('a connection that is lost while a gap is filled begins again at the gap', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.socket.say({ type: 'gap', cursor: 'b3' });
  await world.socket.drop();
  await world.clock.run(250);
  await world.socket.open();
  deepEqual(world.socket.resumes, ['b3']);
});

test('a connection that is lost with a gap still to fill begins again at the gap', async () => {
  const world = await World.start({ cursor: 'c1' });
  await world.socket.open();
  await world.socket.say({ type: 'gap', cursor: 'b3' });
  await world.socket.drop();
  await world.clock.run(250);
  await world.socket.open();
  deepEqual(world.socket.resumes, ['b3']);
});

test('a resume without an answer in half a minute ends the connection, and each message gives it another', async () => {
  const world = await World.start();
  const { socket, clock } = world;
  await socket.open();
  await socket.say({ message: 'Internal server error', requestId: 'r' });
  await clock.run(29_000);
  await socket.say(replay('c1'));
  await clock.run(29_999);
  equal(world.state, 'replaying');
  await clock.run(1);
  equal(world.state, 'waiting');
});

test('a cursor that the server does not know starts over, and what comes is new even if it was seen', async () => {
  const world = await World.start({ last: 20 });
  await world.socket.begin('c0', 'c1');
  await world.socket.drop();
  await world.clock.run(250);
  await world.socket.open();
  await world.socket.say({ type: 'error', code: 'bad_cursor', message: 'not of this feed' });
  deepEqual(world.told, ['bad_cursor']);
  deepEqual(world.socket.resumes, ['c1', 20]);
  await world.socket.say(replay('c0'), live('c0'));
  deepEqual(world.ids, ['c0', 'c1', 'c0']);
  equal(world.client.cursor, 'c0');
});

test('a resume that failed on the server ends the connection; other errors do not', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.socket.say({ type: 'error', code: 'internal', message: 'try again' });
  equal(world.state, 'live');
  await world.clock.run(2_000);
  await world.socket.say({ type: 'error', code: 'internal', message: 'try again' });
  equal(world.state, 'waiting');
  equal(world.client.state.error.code, 'internal');
});

test('tells when what was missed is no longer kept', async () => {
  const world = await World.start({ cursor: 'a1' });
  await world.socket.open();
  await world.socket.say(live('c1', false));
  deepEqual(world.told, ['lost']);
});

test('tells so also when the replay that says it is cut off, and once', async () => {
  const world = await World.start({ cursor: 'a1' });
  await world.socket.open();
  await world.socket.say({ ...replay('b1', 'b2'), recovered: false });
  deepEqual(world.told, []);
  await world.socket.drop();
  await world.clock.run(250);
  await world.socket.begin('b2', 'c1');
  deepEqual(world.told, ['lost']);
  await world.looks('c1');
  deepEqual(world.told, ['lost']);
});

test('what is no message of ours is passed over', async () => {
  const world = await World.start();
  await world.socket.open();
  world.socket.onmessage({ data: 'not json' });
  await world.socket.say(null, 7, { type: 'news' }, { type: 'events' }, { type: 'events', events: [null, { id: 7 }] }, live('c1'));
  equal(world.state, 'live');
  deepEqual(world.events, []);
});

test('a filter of the options is subscribed to before the first resume', async () => {
  const world = await World.start({ filter: 'type:open', data: true });
  const { socket } = world;
  await socket.open();
  deepEqual(socket.sent, [{ action: 'subscribe', filter: 'type:open', data: true }]);
  await socket.say(pushed('x1'), { type: 'subscribed', filter: 'type:open', cursor: 'c0' });
  deepEqual(socket.resumes, [100]);
  await socket.say(replay('c1'), live('c1'));
  deepEqual(world.ids, ['c1']);
  equal(world.client.filter, 'type:open');
});

test('a filter in force stands in the address of the next connection, and data is asked for again', async () => {
  const world = await World.start({ filter: 'TYPE:open' });
  await world.socket.open();
  await world.socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c0' }, live('c1'));
  await world.socket.drop();
  await world.clock.run(250);
  equal(world.socket.url.searchParams.get('filter'), 'type:open');
  await world.socket.open();
  deepEqual(world.socket.sent, [{ action: 'resume', cursor: 'c1' }]);
});

test('a filter that is too long for the address is subscribed to before the first resume of each connection', async () => {
  const filter = `subject:"${'ü'.repeat(1_000)}"`;
  const world = await World.start();
  await world.socket.begin('c1');
  const asked = world.client.subscribe({ filter });
  await world.socket.say({ type: 'subscribed', filter, cursor: 'c0' }, live('c1'));
  await asked;
  for (const ticket of ['t2', 't3']) {
    await world.socket.drop();
    await world.clock.run(1_000);
    equal(world.socket.url.search, `?ticket=${ticket}`);
    await world.socket.open();
    deepEqual(world.socket.sent, [{ action: 'subscribe', filter, data: false }]);
    await world.socket.say(pushed('x1'), { type: 'subscribed', filter, cursor: 'c0' });
    deepEqual(world.socket.resumes, ['c1']);
    await world.socket.say(live('c1'));
  }
  deepEqual(world.ids, []);
});

test('what was in force stays so after a subscription that is refused as the first of its connection', async () => {
  const world = await World.start({ filter: 'type:open', data: true });
  await world.socket.open();
  await world.socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c0' }, live('c1'));
  await world.socket.drop();
  const refused = rejects(world.client.subscribe({ filter: 'typ:open' }), { code: 'bad_filter' });
  await world.clock.run(250);
  await world.socket.open();
  await world.socket.say({ type: 'error', code: 'bad_filter', message: 'unknown field at 0' });
  await refused;
  deepEqual(world.socket.sent, [
    { action: 'subscribe', filter: 'typ:open', data: false },
    { action: 'subscribe', filter: 'type:open', data: true },
  ]);
  await world.socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c0' });
  deepEqual(world.socket.resumes, ['c1']);
});

test('what was in force and is not accepted any more is asked for again after a wait', async () => {
  const world = await World.start({ data: true });
  await world.socket.open();
  await world.socket.say({ type: 'subscribed', filter: '', cursor: 'c0' }, live('c1'));
  await world.socket.drop();
  await world.clock.run(250);
  await world.socket.open();
  await world.socket.say({ type: 'error', code: 'forbidden', message: 'not any more' });
  equal(world.state, 'waiting');
  equal(world.client.state.error.code, 'forbidden');
});

test('a filter of the options that is not accepted refuses the client, and start() asks again', async () => {
  const world = await World.start({ filter: 'typ:open' });
  await world.socket.open();
  await world.socket.say({ type: 'error', code: 'bad_filter', message: 'unknown field at 0' });
  equal(world.state, 'refused');
  equal(world.client.state.error.message, 'unknown field at 0');
  await world.clock.run(60_000);
  equal(world.sockets.length, 1);
  world.client.start();
  await world.clock.run(0);
  await world.socket.open();
  equal(world.socket.sent[0].filter, 'typ:open');
});

test('another filter is subscribed to, then resumed under, and what is pushed meanwhile comes with the next look', async () => {
  const world = await World.start();
  const { socket, client, clock } = world;
  await socket.begin('c1');
  const asked = client.subscribe({ filter: 'type:open' });
  deepEqual(socket.sent.at(-1), { action: 'subscribe', filter: 'type:open', data: false });
  await socket.say(pushed('old1'));
  await socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c5' });
  equal(await asked, 'type:open');
  // The cursor of `subscribed` is the present, not what was seen.
  deepEqual(socket.resumes, [100, 'c1']);
  await socket.say(pushed('old2'), replay('c2'), live('c2'), pushed('old3'));
  deepEqual(world.ids, ['c2']);
  await clock.run(2_000);
  await socket.say(pushed('c3'), replay('old3'), live('c3'));
  deepEqual(world.ids, ['c2', 'c3', 'old3']);
});

test('a subscription that begins anew gives the newest events under it, seen or not', async () => {
  const world = await World.start();
  const { socket, client } = world;
  await socket.begin('c0', 'c1');
  client.subscribe({ filter: 'type:open', last: 30 });
  await socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c5' });
  deepEqual(world.told, ['filter']);
  deepEqual(socket.resumes, [100, 30]);
  await socket.say(replay('c0'), live('c1'));
  deepEqual(world.ids, ['c0', 'c1', 'c0']);
});

test('a subscription waits for the resume that runs under the filter before, or for its next pause', async () => {
  for (const pause of [live('c1'), { type: 'continue', cursor: 'c1+' }]) {
    const { socket, client } = await World.start();
    await socket.open();
    client.subscribe({ filter: 'type:open' });
    deepEqual(socket.sent.map(({ action }) => action), ['resume']);
    await socket.say(replay('c1'), pause);
    deepEqual(socket.sent.map(({ action }) => action), ['resume', 'subscribe']);
    await socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c5' });
    deepEqual(socket.resumes, [100, 'c1']);
  }
});

test('a subscription does not wait for a long resume, but takes another connection', async () => {
  const world = await World.start();
  await world.socket.open();
  await world.socket.say(replay('c1'));
  world.client.subscribe({ filter: 'type:open', last: 20 });
  await world.clock.run(999);
  equal(world.sockets.length, 1);
  await world.clock.run(1);
  equal(world.sockets[0].isClosed, true);
  await world.socket.open();
  await world.socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c5' });
  deepEqual(world.socket.sent.map(({ action }) => action), ['subscribe', 'resume']);
  deepEqual(world.socket.resumes, [20]);
});

test('a refused subscription tells the server’s words and leaves everything as it was', async () => {
  const world = await World.start();
  const { socket, client } = world;
  await socket.begin('c1');
  const refused = rejects(client.subscribe({ filter: 'typ:open', last: 5 }), { name: 'PosthornError', code: 'bad_filter', message: 'unknown field at 0: write type:open' });
  await socket.say(pushed('c2'), { type: 'error', code: 'bad_filter', message: 'unknown field at 0: write type:open' });
  await refused;
  // What was left out meanwhile is fetched.
  deepEqual(socket.resumes, [100, 'c1']);
  await socket.say(replay('c2'), live('c2'));
  deepEqual(world.ids, ['c2']);
  deepEqual(world.told, []);
  equal(client.filter, '');
});

test('of several subscriptions the last wins, one after the other', async () => {
  const { socket, client } = await World.start();
  await socket.begin('c1');
  const first = client.subscribe({ filter: 'a' });
  const second = client.subscribe({ filter: 'b' });
  const third = client.subscribe({ filter: 'c' });
  await rejects(first, { code: 'superseded' });
  await rejects(second, { code: 'superseded' });
  await socket.say({ type: 'subscribed', filter: 'a', cursor: 'c1' });
  equal(client.filter, 'a');
  await socket.say({ type: 'subscribed', filter: 'c', cursor: 'c1' });
  equal(await third, 'c');
  deepEqual(socket.sent.filter(({ action }) => action === 'subscribe').map(({ filter }) => filter), ['a', 'c']);
  deepEqual(socket.resumes, [100, 'c1']);
});

test('a subscription survives the connection', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  const asked = world.client.subscribe({ filter: 'type:open' });
  await world.socket.drop();
  await world.clock.run(250);
  equal(world.socket.url.searchParams.get('filter'), null);
  await world.socket.open();
  await world.socket.say({ type: 'subscribed', filter: 'type:open', cursor: 'c1' });
  equal(await asked, 'type:open');
  deepEqual(world.socket.resumes, ['c1']);
});

test('a gap that is told while a subscription waits is filled after it', async () => {
  const { socket, client } = await World.start();
  await socket.begin('c1');
  client.subscribe({ filter: 'type:open' });
  await socket.say({ type: 'gap', cursor: 'b3' }, { type: 'subscribed', filter: 'type:open', cursor: 'c5' });
  deepEqual(socket.resumes, [100, 'b3']);
});

test('a subscription without an answer ends the connection', async () => {
  const world = await World.start();
  await world.socket.begin('c1');
  await world.looks('c1');
  world.client.subscribe({ filter: 'a' }).catch(() => {});
  await world.clock.run(30_000);
  equal(world.state, 'waiting');
});
