// Small windows, colour schemes and assistive technology.

import AxeBuilder from '@axe-core/playwright';
import { KINDS, message } from './events.js';
import { chip, expect, expectCount, open, rows, sidewaysOverflow, state, test } from './page.js';

const long = (length) => 'w'.repeat(length);

async function expectAccessible(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
}

for (const colorScheme of ['light', 'dark']) {
  for (const [name, viewport] of [
    ['a desk', { width: 1280, height: 800 }],
    ['a phone', { width: 360, height: 740 }],
  ]) {
    test.describe(`${colorScheme} on ${name}`, () => {
      // Without motion: while a new row glows, its contrast is lower for a moment.
      test.use({ colorScheme, viewport, contextOptions: { reducedMotion: 'reduce' } });

      test('is accessible in every state', async ({ page, stack }) => {
        await open(page, stack);
        await expectAccessible(page);
        await stack.post(KINDS.map(([event]) => event));
        await expectCount(page, `${KINDS.length} events`);
        await chip(page, 'click').click();
        await expectAccessible(page);
        await chip(page, 'click').click();
        await rows(page).nth(2).locator('.open').click();
        await expect(page.getByRole('dialog')).toBeVisible();
        await expectAccessible(page);
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Pause' }).click();
        await page.getByLabel('Filter', { exact: true }).fill('typ:nothing');
        await expect(page.getByRole('alert')).toBeVisible();
        await expectAccessible(page);
        await page.getByLabel('Filter', { exact: true }).fill('type:nothing');
        await expect(page.getByRole('heading', { name: 'No event matches' })).toBeVisible();
        await expectAccessible(page);
      });

      test('is accessible when the token is refused', async ({ page, stack }) => {
        await page.goto(`${stack.http}/#token=wrong`);
        await expect(state(page)).toHaveText(/Token refused/);
        await expectAccessible(page);
      });
    });
  }
}

test.describe('on a phone', () => {
  test.use({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });

  test('nothing reaches over the edge of the screen', async ({ page, stack }) => {
    await page.goto(`${stack.http}/#token=wrong`);
    await expect(state(page)).toHaveText(/Token refused/);
    expect(await sidewaysOverflow(page)).toBe(0);

    await open(page, stack);
    expect(await sidewaysOverflow(page)).toBe(0);
    await stack.post(KINDS.map(([event]) => event));
    await expectCount(page, `${KINDS.length} events`);
    await stack.post([
      message('hard_bounce', 1, { bounce_description: long(300), diag: long(300), email: `${long(240)}@example.net`, subject: long(300), tags: [long(200)] }),
      message('click', 2, { metadata: { [long(100)]: long(300) } }, { url: `https://example.com/${long(2_000)}`, user_agent: long(400) }),
      message(long(64), 3),
    ]);
    await expectCount(page, `${KINDS.length + 3} events`);
    expect(await sidewaysOverflow(page)).toBe(0);
    for (const row of await rows(page).all()) {
      const { x, width } = await row.boundingBox();
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x + width).toBeLessThanOrEqual(360);
    }
    for (const name of [long(240), 'reader2@example.net']) {
      await page.getByRole('button', { name }).first().click();
      await expect(page.getByRole('dialog')).toBeVisible();
      const inside = await page.locator('#panel-body').evaluate((body) => body.scrollWidth - body.clientWidth);
      expect(inside).toBe(0);
      expect(await sidewaysOverflow(page)).toBe(0);
      await page.getByRole('button', { name: 'Close' }).click();
    }
    await page.getByLabel('Filter', { exact: true }).fill(`${long(400)}:x`);
    await expect(page.getByRole('alert')).toBeVisible();
    expect(await sidewaysOverflow(page)).toBe(0);
    await page.getByRole('button', { name: 'Pause' }).click();
    await stack.post([message('send', 40)]);
    await expect(page.getByRole('button', { name: 'Resume 1 new' })).toBeVisible();
    await stack.kill();
    await expect(state(page)).toHaveText(/Reconnecting/);
    expect(await sidewaysOverflow(page)).toBe(0);
  });
});
