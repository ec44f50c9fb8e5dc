/** GraphiQL as a person uses it: tabs, the variables' editor, the play button, and what stands in the answer. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import { ARTIFACTS, openLocalBrowser } from './browser.ts';

export type GraphiqlPage = {
  /** Everything the page asked for that is not on this machine, and everything it complained of. */
  readonly complaints: readonly string[];
  openTab(title: string): Promise<void>;
  /** Writes another value into the line of that variable in the open tab. */
  changeVariable(name: string, value: string): Promise<void>;
  /** Presses the play button; while a subscription runs, that stops it. */
  run(): Promise<void>;
  /** The part of the answer that is in view, in one line. */
  answer(): Promise<string>;
  /** @returns the answer once it matches. */
  shows(pattern: RegExp, deadlineMs?: number): Promise<string>;
  /** Written to the artifacts as `<name>.png`. */
  screenshot(name: string): Promise<Buffer>;
  /** Takes a last screenshot. */
  close(name: string): Promise<void>;
};

const NOTICE_MS = 1_000; // GraphiQL notices a moment later that another operation is in the editor; nobody presses faster.

export async function openGraphiql(executablePath: string, url: string): Promise<GraphiqlPage> {
  const { page, complaints, close } = await openLocalBrowser(executablePath);
  await mkdir(ARTIFACTS, { recursive: true });
  await page.goto(url);
  const textOf = async (selector: string): Promise<string> => (await page.locator(selector).textContent()) ?? '';
  const answer = async (): Promise<string> => (await textOf('.graphiql-response')).replaceAll(/\s+/g, ' ');
  const screenshot = async (name: string): Promise<Buffer> =>
    await page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });

  return {
    complaints,
    openTab: async (title) => {
      const tab = page.getByRole('tab').filter({ hasText: title });
      // The tabs slide into their places at first, and a click may miss.
      await eventually(async () => {
        await tab.getByTitle(title).click();
        expect(await tab.getAttribute('aria-selected')).toBe('true');
      });
      await systemClock.sleep(NOTICE_MS);
    },
    changeVariable: async (name, value) => {
      const line = page.locator('.graphiql-editor-tool .view-line').filter({ hasText: `"${name}"` });
      const comma = ((await line.textContent()) ?? '').trimEnd().endsWith(',') ? ',' : '';
      await line.click();
      await page.keyboard.press('Home');
      await page.keyboard.press('Shift+End');
      // Typed over a selection, the editor would put the quotes around it.
      await page.keyboard.press('Delete');
      await page.keyboard.insertText(`"${name}": "${value}"${comma}`);
      await systemClock.sleep(NOTICE_MS);
    },
    run: async () => await page.locator('.graphiql-execute-button').click(),
    answer,
    shows: async (pattern, deadlineMs = 15_000) =>
      await eventually(
        async () => {
          const text = await answer();
          expect(text).toMatch(pattern);
          return text;
        },
        { deadlineMs },
      ),
    screenshot,
    close: async (name) => {
      await screenshot(name);
      await close();
    },
  };
}
