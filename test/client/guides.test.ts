/** The guides hold what the API has: every document in them is valid, whoever they say one can be exists, and their whole programs pass the type check. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parse, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSchema } from '../../src/schema/index.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { subscribeSse } from '../support/sse-client.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const PAGES = ['docs/guides/frontends.md', 'docs/guides/services.md', 'docs/guides/developers.md', 'client/README.md'];
const schema = createSchema();
const read = async (page: string): Promise<string> => await readFile(join(PROJECT, page), 'utf8');
const blocksOf = (text: string, language: string): readonly string[] =>
  [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, block = '']) => block);

describe.each(PAGES)('%s', (page) => {
  test('its documents are valid', async () => {
    const text = await read(page);
    const written = blocksOf(text, 'ts').flatMap((block) =>
      [...block.matchAll(/graphql\(`([^`]*)`/g)].map(([, document = '']) => document),
    );
    const documents = [...blocksOf(text, 'graphql'), ...written];

    expect(documents.length).toBeGreaterThan(0);
    for (const document of documents) {
      expect(validate(schema, parse(document)).map(({ message }) => `${message} in ${document}`)).toEqual([]);
    }
  });

  test('its links lead to files that are there', async () => {
    const text = await read(page);
    for (const [, target = ''] of text.matchAll(/\]\(((?!https?:)[^)#]+)\)/g)) {
      await expect(readFile(resolve(PROJECT, page, '..', target)), target).resolves.toBeDefined();
    }
  });
});

test('programs that are whole pass the type check', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-guides-'));
  try {
    await mkdir(join(folder, 'examples'));
    for (const name of ['client', 'node_modules']) await symlink(join(PROJECT, name), join(folder, name));
    const blocks = (await Promise.all(PAGES.map(read))).flatMap((text) => blocksOf(text, 'ts'));
    const whole = blocks.filter((block) => block.includes('createSluiceClient('));
    expect(whole.length).toBeGreaterThan(1);
    for (const [index, block] of whole.entries()) {
      await writeFile(join(folder, 'examples', `guide-${index}.ts`), `${block}\nexport {};\n`);
    }
    const config = {
      extends: join(PROJECT, 'tsconfig.json'),
      compilerOptions: { noUnusedLocals: false },
      include: ['examples'],
      exclude: [],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');

    const tsc = join(PROJECT, 'node_modules/typescript-native/bin/tsc');
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch(
      (error: { readonly stdout: string }) => error,
    );
    expect(stdout).toBe('');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

describe('who one can be', () => {
  let database: TestDatabase;
  let api: TestApi;

  beforeAll(async () => {
    database = await createTestDatabase();
    api = await startApi(database);
  });

  afterAll(async () => {
    await api.stop();
    await database.close();
  });

  test('everybody that the guide names is known, and nobody else', async () => {
    const named = [...(await read('docs/guides/developers.md')).matchAll(/`(dev-[a-z][a-z0-9:-]*)`/g)].map(
      ([, name = '']) => name,
    );
    expect(named.length).toBeGreaterThan(5);
    for (const name of named) {
      const { status, data } = await api.query('{ viewer { name } }', {}, { authorization: `Bearer ${name}` });
      expect(status, name).toBe(200);
      expect(data.viewer.name.length).toBeGreaterThan(0);
    }
    expect((await api.query('{ viewer { name } }', {}, { authorization: 'Bearer dev-nobody' })).status).toBe(401);
  });

  test('what the guide for pages has a page ask, a customer may ask', async () => {
    const documents = blocksOf(await read('docs/guides/frontends.md'), 'graphql').filter(
      (text) => !text.includes('deposits('),
    );
    const start = (await api.query('{ eventLog { startCursor } }')).data.eventLog.startCursor;
    const input = { account: 'carol', instrumentAdmin: 'a::1220', instrumentId: 'x', receiver: 'b::1220', amount: '1' };
    const variables = { customer: 'carol', cursor: start, after: start, id: 'wd_none', input };

    expect(documents.length).toBeGreaterThan(3);
    for (const query of documents) {
      const headers = { authorization: 'Bearer dev-customer:carol' };
      if (query.startsWith('subscription')) {
        const { stream } = await subscribeSse(api.url, { query, variables }, headers);
        expect((await stream.next())?.data, query).toContain('WITHDRAWAL_UNKNOWN');
        stream.cut();
        continue;
      }
      const { errors = [] } = await api.query(query, variables, headers);
      // Nobody pays out or can be asked ahead in this test; nothing else is in the way.
      const codes = errors.map(({ extensions }: { extensions: { code: string } }) => extensions.code);
      expect(codes, query).toEqual(query.includes('withdrawalPreflight') ? ['WITHDRAWALS_OFF'] : []);
    }
  });
});
