/** The schema as a file: in git for whoever builds a client, and served for whoever meets a running server. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { printSchemaSdl } from '../../src/schema/index.ts';
import { startApi } from '../support/api.ts';
import { createTestDatabase } from '../support/database.ts';

test('the schema in git is the schema served', async () => {
  const database = await createTestDatabase();
  const api = await startApi(database);
  try {
    const inGit = await readFile(new URL('../../schema.graphql', import.meta.url), 'utf8');
    const served = await (await fetch(`${api.url}/schema.graphql`)).text();

    expect(printSchemaSdl()).toBe(inGit);
    expect(served).toBe(inGit);
  } finally {
    await api.stop();
    await database.close();
  }
});
