/** Every operation of the client and of the examples is one of the schema as it is; and a schema that changes shows in the type check. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import {
  concatAST,
  type FragmentDefinitionNode,
  Kind,
  NoUnusedFragmentsRule,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import { expect, test } from 'vitest';
import { createSchema } from '../../src/schema/index.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const schema = createSchema();
/** A fragment alone is one that others use. */
const rules = specifiedRules.filter((rule) => rule !== NoUnusedFragmentsRule);

async function sourcesOf(folder: string): Promise<readonly { readonly name: string; readonly text: string }[]> {
  const names = (await readdir(join(PROJECT, folder), { recursive: true })).filter(
    (name) => name.endsWith('.ts') && !name.includes('gen/') && !name.includes('node_modules'),
  );
  return await Promise.all(
    names.map(async (name) => ({ name, text: await readFile(join(PROJECT, folder, name), 'utf8') })),
  );
}

const documentsOf = (text: string): readonly string[] =>
  [...text.replaceAll(/\/\*[\s\S]*?\*\//g, '').matchAll(/graphql\(\s*(?:`([^`]*)`|'([^'\n]*)')/g)].map(
    ([, long, short]) => long ?? short ?? '',
  );

test.each(['client/src', 'examples'])('every operation of %s is valid', async (folder) => {
  const sources = await sourcesOf(folder);
  const known = new Set([...(await sourcesOf('client/src')), ...sources].flatMap(({ text }) => documentsOf(text)));
  const fragments = [...known]
    .flatMap((text) => parse(text).definitions)
    .filter((node): node is FragmentDefinitionNode => node.kind === Kind.FRAGMENT_DEFINITION);
  const found = sources.flatMap(({ name, text }) => documentsOf(text).map((document) => ({ name, document })));

  expect(found.length).toBeGreaterThan(3);
  for (const { name, document } of found) {
    const node = parse(document);
    const own = new Set(node.definitions.map((each) => ('name' in each ? each.name?.value : undefined)));
    const others = fragments.filter((fragment) => !own.has(fragment.name.value));
    const whole = concatAST([node, { kind: Kind.DOCUMENT, definitions: others }]);
    expect(validate(schema, whole, rules).map(({ message }) => `${name}: ${message}`)).toEqual([]);
  }
});

test('a field that an operation uses and the schema no longer has fails the type check', async () => {
  const copy = await mkdtemp(join(tmpdir(), 'sluice-client-'));
  try {
    await cp(join(PROJECT, 'client'), join(copy, 'client'), { recursive: true });
    await cp(join(PROJECT, 'tsconfig.json'), join(copy, 'tsconfig.json'));
    await symlink(join(PROJECT, 'node_modules'), join(copy, 'node_modules'));
    const tsc = async (): Promise<string> =>
      await promisify(execFile)(process.execPath, [
        join(PROJECT, 'node_modules/typescript-native/bin/tsc'),
        '-p',
        join(copy, 'client/tsconfig.json'),
      ]).then(
        () => '',
        (error: { readonly stdout: string }) => error.stdout,
      );
    expect(await tsc()).toBe('');

    const file = join(copy, 'client/src/gen/schema.ts');
    const types = await readFile(file, 'utf8');
    await writeFile(file, types.replaceAll("'position': { name: 'position'", "'place': { name: 'place'"));

    expect(await tsc()).toMatch(/client\.ts.*error TS/);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
});

test('its core runs in browsers: nothing of Node is imported but where the keys lie in files', async () => {
  for (const { name, text } of await sourcesOf('client/src')) {
    if (name === 'file-key-store.ts') continue;
    expect([...text.matchAll(/from '(node:[^']+|\.\.\/\.\.\/[^']+)'/g)].map(([, from]) => `${name}: ${from}`)).toEqual(
      [],
    );
  }
});
