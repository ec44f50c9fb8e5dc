/** In the process that looks for mistakes: the test of each is collected from the copy of the product that has it, and last of all from the product as it is, which the copies before it must have left alone. */
import { beforeEach, describe, inject, test } from 'vitest';
import { DIRECT_MISTAKES } from './all-direct.ts';
import { copyUrl, makeCopies } from './copies.ts';
import { CANNOT_BE_LOADED, SOUND } from './kill.ts';
import { withMistake } from './planted.ts';

const ROOT = new URL('../../', import.meta.url);
const DATABASES = new URL('test/support/database.ts', ROOT).href;
const TEMPLATE = "inject('templateDatabase')";

const kills = inject('kills');
const found = new Set<string>();

makeCopies(
  kills.map(({ mistake, templateDatabase }) => {
    const planted = DIRECT_MISTAKES.find(({ name }) => name === mistake);
    if (planted === undefined) throw new Error(`There is no mistake '${mistake}'.`);
    return {
      name: mistake,
      rewrite: (url, text) =>
        templateDatabase !== null && url === DATABASES
          ? replaceOnce(text, TEMPLATE, JSON.stringify(templateDatabase))
          : withMistake(planted, url, text),
    };
  }),
);

// Only what is to find the mistake runs, and nothing after the first that did.
beforeEach(({ task, skip, onTestFailed }) => {
  let name = task.name;
  let { suite } = task;
  for (; suite?.suite !== undefined; suite = suite.suite) name = `${suite.name} ${name}`;
  const run = suite?.name ?? '';
  const isWanted = kills.some(
    ({ mistake, file, test: part }) => (run === mistake || run === SOUND + file) && name.includes(part),
  );
  if (name !== CANNOT_BE_LOADED && (found.has(run) || !isWanted)) skip();
  if (!run.startsWith(SOUND)) onTestFailed(() => void found.add(run));
});

for (const { mistake, file } of kills)
  describe(mistake, async () => await collect(async () => await import(copyUrl(new URL(file, ROOT), mistake))));
for (const file of new Set(kills.map((kill) => kill.file)))
  describe(SOUND + file, async () => await collect(async () => await import(new URL(file, ROOT).href)));

/** Whose module cannot be loaded has a test that says so: the others are collected all the same. */
async function collect(load: () => Promise<unknown>): Promise<void> {
  try {
    await load();
  } catch (error) {
    test(CANNOT_BE_LOADED, () => {
      throw error;
    });
  }
}

function replaceOnce(text: string, find: string, replace: string): string {
  if (text.split(find).length !== 2) throw new Error(`${find} is no longer where it was.`);
  return text.replace(find, () => replace);
}
