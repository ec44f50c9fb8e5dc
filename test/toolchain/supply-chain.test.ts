/** What comes from others, by the lock alone: nothing here asks a registry, so it holds where no audit service is reached. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';

const PROJECT = join(import.meta.dirname, '../..');
const lock = z
  .object({
    packages: z.record(
      z.string(),
      z.object({
        version: z.string().optional(),
        integrity: z.string().optional(),
        resolved: z.string().optional(),
        link: z.boolean().optional(),
        optional: z.boolean().optional(),
        hasInstallScript: z.boolean().optional(),
        os: z.union([z.string(), z.array(z.string())]).optional(),
      }),
    ),
  })
  .parse(JSON.parse(await readFile(join(PROJECT, 'package-lock.json'), 'utf8')));
const dependencies = z.record(z.string(), z.string()).optional();
const manifest = z
  .object({
    dependencies,
    optionalDependencies: dependencies,
    devDependencies: dependencies,
    allowScripts: z.record(z.string(), z.boolean()),
  })
  .parse(JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')));
/** Package name → the versions below which something is known against it, and what. */
const floor = z
  .record(z.string(), z.object({ atLeast: z.string().regex(/^\d+\.\d+\.\d+$/), because: z.string() }))
  .parse(JSON.parse(await readFile(join(import.meta.dirname, 'advisory-floor.json'), 'utf8')));

const entries = Object.entries(lock.packages).filter(([path, { link }]) => path !== '' && link !== true);
const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

test('Z31: every package has its hash, but for tools of other machines, which the lock’s registry did not have', () => {
  const without = entries.filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''));

  expect(without.filter(([path]) => !/\/(?:@biomejs\/cli|@bufbuild\/buf)-[a-z0-9-]+$/.test(path))).toEqual([]);
  for (const [path, { optional, os }] of without)
    expect([path, optional, os === undefined]).toEqual([path, true, false]);
  // None of them is what is installed on the machines that serve, or where this is tested.
  expect(
    without.map(([path]) => path).filter((path) => path.endsWith('linux-x64') || path.endsWith('linux-arm64')),
  ).toEqual([]);
});

test('Z31: no package comes from a place of its own, all from the registry that npm is told', async () => {
  expect(entries.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path)).toEqual([]);
  const settings = await readFile(join(PROJECT, '.npmrc'), 'utf8');
  expect(settings).not.toMatch(/registry=|_auth|token/i);
});

test('Z31: what we name is named exactly, and is what is locked', () => {
  const named = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.devDependencies };
  const loose = Object.entries(named).filter(
    ([, version]) => !/^(?:npm:[\w@/-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version),
  );
  expect(loose).toEqual([]);
  const other = Object.entries(named).filter(
    ([name, version]) => lock.packages[`node_modules/${name}`]?.version !== version.replace(/^npm:.*@/, ''),
  );
  expect(other).toEqual([]);
});

test('Z31: whoever runs a script when it is installed is on our list, with a word whether it may', () => {
  const scripted = entries
    .filter(([, { hasInstallScript }]) => hasInstallScript === true)
    .map(([path]) => nameOf(path));

  expect([...new Set(scripted)].sort()).toEqual(Object.keys(manifest.allowScripts).sort());
});

test('Z31: nothing is older than the oldest version that nothing is known against', () => {
  const versions = entries.flatMap(([path, { version = '' }]) => {
    const known = floor[nameOf(path)];
    return known === undefined ? [] : [{ path, version, ...known }];
  });

  expect(versions.filter(({ version, atLeast }) => isOlder(version, atLeast))).toEqual([]);
  // A line about nothing guards nothing.
  const there = new Set(entries.map(([path]) => nameOf(path)));
  expect(Object.keys(floor).filter((name) => !there.has(name))).toEqual([]);
});

test('Z31: an older version, of whichever of its numbers, would be found', () => {
  expect(['8.21.0', '8.9.99', '7.30.0', '8.21.1-beta.1'].map((version) => isOlder(version, '8.21.1'))).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(['8.21.1', '8.21.10', '9.0.0'].map((version) => isOlder(version, '8.21.1'))).toEqual([false, false, false]);
});

/** A version before a release is older than it. */
function isOlder(version: string, than: string): boolean {
  const numbersOf = (text: string): readonly number[] => (text.split('-')[0] ?? '').split('.').map(Number);
  const [mine, other] = [numbersOf(version), numbersOf(than)];
  const index = mine.findIndex((number, place) => number !== other[place]);
  return index === -1 ? version.includes('-') : (mine[index] ?? 0) < (other[index] ?? 0);
}
