// The page against a local stack: what is posted as Mandrill posts it is seen as a person sees it.

import { KINDS, message, sends } from './events.js';
import { chip, expect, expectCount, open, recipients, rows, state, test, watchSocket } from './page.js';

test('begins with the newest 200 in order and goes on with live rows', async ({ context, page, stack }) => {
  // A page that connects while older events are still pushed gets these as well: let that be over.
  const other = await context.newPage();
  await open(other, stack);
  await stack.post(sends(1, 230));
  await expectCount(other, '230 events');
  await other.close();
  const newest = (await stack.history(200)).map((event) => event.recipient);
  await open(page, stack);
  // The further looks read back 15 s, and find the other thirty.
  await expectCount(page, '200 events');
  expect((await recipients(page)).slice(0, 200)).toEqual(newest);

  await stack.post(sends(231, 1));
  await expect(rows(page).first()).toContainText('reader231@example.net');
  await expectCount(page, '201 events');
});

test('shows kind, recipient, subject, detail and time of every kind', async ({ page, stack }) => {
  await open(page, stack);
  await stack.post(KINDS.map(([event]) => event));
  await expectCount(page, `${KINDS.length} events`);
  for (const [, shown] of KINDS) {
    await test.step(`${shown.kind}, ${shown.detail}`, async () => {
      const row = rows(page).filter({ has: page.locator(`time[datetime="${shown.utc}"]`) });
      await expect(row.locator('.kind')).toHaveText(shown.kind);
      await expect(row.locator('.who')).toHaveText(shown.recipient);
      await expect(row.locator('.subject')).toHaveText(shown.subject);
      await expect(row.locator('.telling')).toHaveText(shown.detail);
      await expect(row.locator('time')).toHaveAttribute('title', `${shown.utc} (UTC)`);
    });
  }
  // 22:26:41 in UTC, an hour later in Berlin.
  await expect(rows(page).locator(`time[datetime="${KINDS[0][1].utc}"]`)).toContainText('23:26:41');
});

test('opens an event with all its fields, and gives the focus back', async ({ page, stack }) => {
  await stack.post([message('click', 1, {}, { url: 'https://shop.example.com/?o=1', ip: '192.0.2.44', location: { city: 'Ulm' } }), message('send', 2)]);
  await open(page, stack);
  const panel = page.getByRole('dialog');
  await page.getByRole('button', { name: 'reader1@example.net' }).click();
  for (const text of ['reader1@example.net', 'Order 1', 'orders@mail.example.com', '2026-11-21T22:26:41Z', 'order-shipped', '192.0.2.44', 'Ulm', 'mandrill']) {
    await expect(panel.getByText(text, { exact: true }).first()).toBeVisible();
  }
  const [event] = (await stack.history(2)).filter(({ type }) => type === 'click');
  await expect(panel).toContainText(event.id);
  const link = panel.getByRole('link', { name: 'https://shop.example.com/?o=1' });
  await expect(link).toHaveAttribute('rel', 'noopener noreferrer');
  // What the live feed leaves out is fetched.
  await expect(panel.getByRole('heading', { name: 'As received' })).toBeVisible();
  await expect(panel.locator('pre')).toContainText('"event": "click"');
  await page.keyboard.press('Escape');
  await expect(panel).toBeHidden();
  await expect(page.getByRole('button', { name: 'reader1@example.net' })).toBeFocused();
});

test('shows the beginning of an event that is too large for the feed', async ({ page, stack }) => {
  const noise = Buffer.from(Array.from({ length: 450_000 }, () => Math.floor(Math.random() * 256))).toString('base64');
  await stack.post([{ event: 'inbound', ts: 1795299999, msg: { email: 'large@example.net', from_email: 'a@example.net', subject: 'Large', raw_msg: noise } }]);
  await open(page, stack);
  await page.getByRole('button', { name: 'large@example.net' }).click();
  const panel = page.getByRole('dialog');
  await expect(panel.locator('pre')).toContainText(noise.slice(0, 1_000));
  await expect(panel).toContainText(/… and \d{3},\d{3} more characters\./);
});

for (const levels of [1_000, 3_000]) {
  test(`shows metadata of ${levels} levels as text below the last that one can read`, async ({ page, stack }) => {
    const deep = JSON.parse(`${'{"a":'.repeat(levels)}"the end"${'}'.repeat(levels)}`);
    await stack.post([message('send', 1, { metadata: deep }, { new: deep }), message('send', 2)]);
    await open(page, stack);
    await page.getByRole('button', { name: 'reader1@example.net' }).click();
    const panel = page.getByRole('dialog');
    await expect(panel.locator('pre')).toContainText('"the end"');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'reader2@example.net' }).click();
    await expect(panel.locator('pre')).toContainText('"order_id": 2');
  });
}

test('says so when what was received cannot be loaded', async ({ page, stack }) => {
  await stack.post(sends(1, 1));
  await open(page, stack);
  await page.route('**/v1/events/evt_*', (route) => route.abort());
  await page.getByRole('button', { name: 'reader1@example.net' }).click();
  await expect(page.getByRole('dialog')).toContainText('What was received could not be loaded.');
});

test('can be read with the keyboard', async ({ page, stack }) => {
  await stack.post(sends(1, 120));
  await open(page, stack);
  await expectCount(page, '120 events');
  const order = await recipients(page);
  const focused = page.locator('.open:focus');
  await rows(page).first().locator('.open').focus();
  await page.keyboard.press('ArrowDown');
  await expect(focused).toHaveText(order[1]);
  await page.keyboard.press('End');
  await expect(focused).toHaveText(order[119]);
  await expect(focused).toBeInViewport();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toContainText(order[118]);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Home');
  await expect(focused).toHaveText(order[0]);
});

test('tells the state of the connection and says what to do while there is nothing', async ({ page, stack }) => {
  await open(page, stack);
  await expect(page.getByRole('heading', { name: 'No events yet' })).toBeVisible();
  await expect(page.getByText('cargo run -- simulate')).toBeVisible();
  await stack.kill();
  await expect(state(page)).toHaveText(/Reconnecting/);
  await stack.start();
  await expect(state(page)).toHaveText(/^\s*Live\s*$/);
});

test('after a cut nothing is missing and nothing is there twice', async ({ page, stack }) => {
  await page.clock.install();
  await open(page, stack);
  await stack.post(sends(1, 40));
  await expectCount(page, '40 events');
  // The page's clock stands still, so that it cannot come back before we say so.
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 1_000);
  await stack.post(sends(41, 60));
  await stack.kill();
  await expect(state(page)).toHaveText(/Reconnecting/);
  await stack.start();
  await stack.post(sends(101, 150));
  await page.clock.resume();
  await expect(state(page)).toHaveText(/^\s*Live\s*$/);
  await expectCount(page, '250 events');
  await stack.post(sends(251, 1));
  await expectCount(page, '251 events');

  const shown = await recipients(page);
  expect(shown).toEqual((await stack.history(300)).map((event) => event.recipient));
  expect(new Set(shown).size).toBe(251);
});

test('an event is shown once, be it posted twice or replayed again', async ({ page, stack }) => {
  const frames = watchSocket(page);
  const batch = sends(1, 30);
  await stack.post(batch);
  await open(page, stack);
  await stack.post(batch);
  await stack.post(sends(31, 20));
  // The second resume of a connection reads back over all of this.
  const of = (type) => frames.received.filter((message) => message.type === type);
  await expect.poll(() => of('live').length).toBe(2);
  const replayed = of('events').filter((message) => message.replay).flatMap((message) => message.events);
  expect(replayed.length).toBeGreaterThan(new Set(replayed.map((event) => event.id)).size);
  await expectCount(page, '50 events');
  const shown = await recipients(page);
  expect(new Set(shown).size).toBe(50);
  expect(shown).toHaveLength(50);
});

test('keeps the newest 5,000 and answers while events pour in', async ({ page, stack }) => {
  await open(page, stack);
  // On a busy machine; and a rare kind is looked for among 10,000 events.
  const patient = { timeout: 60_000 };
  let posted = 0;
  let enough = Infinity;
  const stream = (async () => {
    while (posted < enough) {
      const first = posted + 1;
      await stack.post([...sends(first, 198), message('click', first + 198), message('open', first + 199, { subject: 'A needle' })]);
      posted += 200;
    }
  })();
  await expect.poll(async () => Number(await page.locator('#table').getAttribute('aria-rowcount')), patient).toBeGreaterThan(1_000);

  // While they come, every row in sight follows the filter.
  const different = (column) => rows(page).locator(column).evaluateAll((cells) => [...new Set(cells.map((cell) => cell.textContent))]);
  await chip(page, 'click').click();
  await expect.poll(() => different('.kind'), patient).toEqual(['click']);
  await chip(page, 'click').click();
  await expect.poll(() => different('.kind'), patient).toContain('send');
  // The page has begun anew, with the newest 200.
  enough = posted + 5_000;
  await stream;

  await expect(page.locator('#count')).toHaveText('5,000 events', patient);
  await expect(page.locator('#table')).toHaveAttribute('aria-rowcount', '5001');
  expect(await rows(page).count()).toBeLessThan(100);
  await expect(page.getByText('This page keeps the newest 5,000 events.')).toBeAttached();

  const all = [];
  let before = '';
  while (all.length < 5_000) {
    const answer = await fetch(`${stack.http}/v1/events?limit=1000${before}`, { headers: { authorization: `Bearer ${stack.token}` } });
    const { events, next } = await answer.json();
    all.push(...events.map((event) => event.recipient));
    before = `&before=${encodeURIComponent(next)}`;
  }
  await expect(rows(page).first().locator('.who')).toHaveText(all[0]);
  await rows(page).first().locator('.open').focus();
  await page.keyboard.press('End');
  await expect(page.locator('.open:focus')).toHaveText(all[4_999]);
});

test('what one reads stays where it is while new events come', async ({ page, stack }) => {
  await stack.post(sends(1, 150));
  await open(page, stack);
  await expectCount(page, '150 events');
  await page.mouse.move(600, 500);
  await page.mouse.wheel(0, 2_000);
  const inSight = () => page.evaluate(() => document.elementFromPoint(400, 400).closest('.row')?.textContent);
  await expect.poll(() => page.evaluate(() => scrollY)).toBe(2_000);
  await expect.poll(inSight).toBeTruthy();
  const read = await inSight();
  await stack.post(sends(151, 25));
  await expect(page.getByRole('button', { name: '↑ 25 new' })).toBeVisible();
  expect(await inSight()).toBe(read);
  await page.getByRole('button', { name: '↑ 25 new' }).click();
  await expectCount(page, '175 events');
  await expect(page.locator('#to-top')).toBeHidden();
});

test('pauses, counts what comes meanwhile, and goes on', async ({ page, stack }) => {
  await stack.post(sends(1, 3));
  await open(page, stack);
  await expectCount(page, '3 events');
  await page.getByRole('button', { name: 'Pause' }).click();
  await stack.post(sends(4, 7));
  await expect(page.getByRole('button', { name: 'Resume 7 new' })).toBeVisible();
  await expect(rows(page)).toHaveCount(3);
  await page.getByRole('button', { name: 'Resume 7 new' }).click();
  await expect(rows(page)).toHaveCount(10);
});

test('filters on the server: what there is and what comes', async ({ page, stack }) => {
  await stack.post([message('send', 1), message('open', 2), message('open', 3), message('hard_bounce', 4)]);
  await open(page, stack);
  await expectCount(page, '4 events');
  const filter = page.getByLabel('Filter', { exact: true });
  await chip(page, 'open').click();
  await expect(filter).toHaveValue('type:open');
  await expectCount(page, '2 matching events');
  await chip(page, 'hard bounce').click();
  await expect(filter).toHaveValue('type:open,hard_bounce');
  await expectCount(page, '3 matching events');
  await stack.post([message('send', 5), message('open', 6), message('click', 7)]);
  await expectCount(page, '4 matching events');
  await expect(rows(page).first().locator('.who')).toHaveText('reader6@example.net');

  await filter.fill('type:open -type:open');
  await expect(page.getByRole('heading', { name: 'No event matches' })).toBeVisible();
  await page.getByRole('button', { name: 'Clear the filters' }).click();
  await expectCount(page, '7 events');
  await expect(filter).toHaveValue('');
});

test('a filter lasts over a cut and another token', async ({ page, stack }) => {
  await stack.post([message('send', 1), message('open', 2)]);
  await open(page, stack);
  await chip(page, 'open').click();
  await expectCount(page, '1 matching event');
  await stack.kill();
  await expect(state(page)).toHaveText(/Reconnecting/);
  await stack.start();
  await stack.post([message('send', 3), message('open', 4)]);
  await expectCount(page, '2 matching events');
  await page.goto(stack.page);
  await expect(state(page)).toHaveText(/^\s*Live\s*$/);
  await expectCount(page, '2 matching events');
});

test('a filter that cannot be read is told with its place, and the one before stays', async ({ page, stack }) => {
  await stack.post([message('send', 1), message('open', 2)]);
  await open(page, stack);
  const filter = page.getByLabel('Filter', { exact: true });
  await filter.fill('type:open');
  await expectCount(page, '1 matching event');
  await filter.fill('type:öpen typ:open');
  const refusal = page.getByRole('alert');
  await expect(refusal).toContainText('unknown field at 11');
  await expect(refusal.locator('code')).toHaveText('type:öpen typ:open');
  await expect(refusal.locator('mark')).toHaveText('t');
  await expect(filter).toHaveAttribute('aria-invalid', 'true');
  await expectCount(page, '1 matching event');
  await stack.post([message('send', 3), message('open', 4)]);
  await expectCount(page, '2 matching events');
  await filter.fill('type:send');
  await expect(refusal).toBeHidden();
  await expectCount(page, '2 matching events');
  await expect(rows(page).first().locator('.kind')).toHaveText('send');
});

test('hostile text is shown as text and runs nothing', async ({ page, stack }) => {
  const html = (n) => `<img src=x onerror=alert(${n})>`;
  const kind = '<img/src=x/onerror=alert(0)>';
  await stack.post([
    message(
      'click',
      1,
      {
        email: `"><script>alert(1)</script>@example.net`,
        subject: html(2),
        sender: html(3),
        template: html(4),
        tags: ['</td><script>alert(5)</script>', html(6)],
        metadata: { [html(7)]: '</script><script>alert(8)</script>', nested: { deep: html(9) } },
      },
      { url: 'javascript:alert(10)', user_agent: '<svg onload=alert(11)>', ip: html(12), location: { city: html(13), country: 'data:text/html,x' } },
    ),
    message('hard_bounce', 2, { diag: html(14), bounce_description: '<iframe srcdoc="<script>alert(15)</script>">' }),
    message(kind, 3, { subject: '\u202Etxet desrever' }),
  ]);
  await open(page, stack);
  await expectCount(page, '3 events');

  const row = (name) => rows(page).filter({ has: page.locator('.badge', { hasText: name }) });
  await expect(row('click').locator('.who')).toHaveText('"><script>alert(1)</script>@example.net');
  await expect(row('click').locator('.subject')).toHaveText(html(2));
  await expect(row('click').locator('.main')).toHaveText('javascript:alert(10)');
  await expect(row('hard bounce').locator('.rest')).toHaveText(html(14));
  await expect(row(kind).locator('.kind')).toHaveText(kind);
  await expect(chip(page, kind)).toBeVisible();

  for (const name of ['click', 'hard bounce', kind]) {
    await row(name).locator('.open').click();
    await expect(page.getByRole('dialog').getByRole('heading', { level: 2 })).toHaveText(name);
    const made = page.locator('#rows, #chips, #panel-body').locator('img, script, iframe, svg, a');
    await expect(made).toHaveCount(0);
  }
  await row('click').locator('.open').click();
  const panel = page.getByRole('dialog');
  for (const text of [html(3), html(4), html(6), html(7), html(9), html(12), html(13), 'javascript:alert(10)', '<svg onload=alert(11)>']) {
    await expect(panel).toContainText(text);
  }
});

test('a wrong token is told, and the right one opens the page', async ({ page, stack }) => {
  await stack.post(sends(1, 1));
  await page.goto(`${stack.http}/#token=wrong`);
  await expect(state(page)).toHaveText(/Token refused/);
  await expect(page.getByRole('heading', { name: 'The token was refused' })).toBeVisible();
  await page.getByRole('textbox', { name: 'Token' }).fill(stack.token);
  await page.getByRole('button', { name: 'Connect' }).click();
  await expect(state(page)).toHaveText(/^\s*Live\s*$/);
  await expectCount(page, '1 event');
});
