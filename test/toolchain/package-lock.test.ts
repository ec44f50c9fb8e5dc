/** What an npm behind an incomplete or private registry writes into package-lock.json and others then stumble over. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';

const PROJECT = join(import.meta.dirname, '../..');
const schema = z.object({
  packages: z.record(
    z.string(),
    z.object({ resolved: z.string().optional(), optionalDependencies: z.record(z.string(), z.string()).default({}) }),
  ),
});
const lock = schema.parse(JSON.parse(await readFile(join(PROJECT, 'package-lock.json'), 'utf8')));

test('every optional package has its entry, or `npm ci` refuses the lock on a machine that can see it', () => {
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies }]) =>
    Object.keys(optionalDependencies).filter(
      (name) =>
        lock.packages[`node_modules/${name}`] === undefined &&
        lock.packages[`${path}/node_modules/${name}`] === undefined,
    ),
  );

  expect(missing).toEqual([]);
});

test('no package is bound to one registry', () => {
  const bound = Object.entries(lock.packages).filter(([, { resolved }]) => resolved !== undefined);

  expect(bound.map(([path]) => path)).toEqual([]);
});
