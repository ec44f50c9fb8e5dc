/** What the pages for people say is there: documents are valid, links lead somewhere, and every variable, command and metric they name exists. */
import { existsSync } from 'node:fs';
import { glob, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parse, validate } from 'graphql';
import { describe, expect, test } from 'vitest';
import { CONFIG_KEYS } from '../../src/config/keys.ts';
import { METRICS } from '../../src/metrics/metric-list.ts';
import { createSchema } from '../../src/schema/index.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const PAGES: string[] = [];
for await (const page of glob(['README.md', 'docs/**/*.md', 'client/README.md', 'examples/*/README.md'], {
  cwd: PROJECT,
})) {
  PAGES.push(page);
}
PAGES.sort();
const schema = createSchema();
const queries = schema.getQueryType()?.getFields() ?? {};
const variables = new Set(Object.values(CONFIG_KEYS).map(({ variable }) => variable));
/** A file each, but for `lift`, which stands beside `halt`. */
const commands = new Set([
  ...[...(await readFile(join(PROJECT, 'src/main.ts'), 'utf8')).matchAll(/'\.\/cli\/([a-z-]+)\.ts'/g)].map(
    ([, name]) => name,
  ),
  'lift',
]);
const read = async (page: string): Promise<string> => await readFile(join(PROJECT, page), 'utf8');

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');

test('there are pages, and commands', () => {
  expect(PAGES.length).toBeGreaterThan(40);
  expect(commands).toContain('signer-check');
  expect(commands.size).toBeGreaterThan(25);
});

describe.each(PAGES)('%s', (page) => {
  test('its documents are valid, those within a line as well', async () => {
    const text = await read(page);
    const blocks = [...text.matchAll(/```graphql\n(.*?)```/gs)].map(([, block = '']) => block);
    const lines = [...text.replaceAll(/```.*?```/gs, '').matchAll(/`([a-zA-Z]+[^`]*\{[^`…]*\})`/g)]
      .map(([, line = '']) => line)
      .filter((line) => Object.hasOwn(queries, /^[a-zA-Z]+/.exec(line)?.[0] ?? ''));
    for (const document of [...blocks, ...lines.map((line) => `{ ${line} }`)]) {
      expect(validate(schema, parse(document)).map(({ message }) => `${message} in ${document}`)).toEqual([]);
    }
  });

  test('its links lead to what is there', async () => {
    const text = await read(page);
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? join(PROJECT, page) : resolve(PROJECT, dirname(page), path);
      expect(existsSync(file), target).toBe(true);
      if (anchor === undefined) continue;
      const headings = [...(await readFile(file, 'utf8')).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        anchorOf(heading),
      );
      expect(headings, target).toContain(anchor);
    }
  });

  test('its variables, commands and metrics are there', async () => {
    const text = await read(page);
    // What an example reads is its own.
    if (!page.startsWith('examples/')) {
      for (const [name] of text.matchAll(/\bSLUICE_[A-Z_]*[A-Z]\b/g)) {
        expect(variables.has(name) || variables.has(name.replace(/_FILE$/, '')), name).toBe(true);
      }
    }
    for (const [, name = ''] of text.matchAll(/(?:`|^ {4}|^)(?:npm run -s )?sluice (?:-- )?([a-z][a-z-]*)/gm)) {
      expect(commands, name).toContain(name);
    }
    if (!page.startsWith('docs/')) return;
    for (const [name] of text.matchAll(/\bsluice_[a-z_]+\b/g)) expect(Object.keys(METRICS), name).toContain(name);
  });
});
