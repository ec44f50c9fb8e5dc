/** Code for the ledger comes from its operators alone: nobody can have Sluice upload or vet a package, whatever his role, and Sluice has no words to ask a participant for it. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSchema } from '../../src/schema/index.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows } from '../support/rows.ts';

const ROLES = ['developer', 'frontend', 'service', 'operator'] as const;
const ATTEMPTS = [
  'mutation { uploadDar(input: { bytes: "UEsDBA==" }) { __typename } }',
  'mutation { uploadDarFile(darFile: "UEsDBA==") { __typename } }',
  'mutation { vetPackage(packageId: "1220") { __typename } }',
  'mutation { updateVettedPackages(packages: ["1220"]) { __typename } }',
];

let database: TestDatabase;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).treasury();
  api = await startApi(database);
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

describe('Z16: code that somebody wants on the ledger', () => {
  test.each(ROLES)('is uploaded and vetted for nobody: %s', async (role) => {
    for (const query of ATTEMPTS) {
      const headers: Record<string, string> = role === 'developer' ? {} : { authorization: `Bearer dev-${role}` };
      const { data, errors } = await api.query(query, {}, headers);

      expect(data ?? null, query).toBeNull();
      expect(errors[0].message, query).toContain('Cannot query field');
    }
  });

  test('is no input of any call: none takes bytes, a file or an archive', () => {
    const schema = createSchema();
    const names = [
      ...Object.keys(schema.getMutationType()?.getFields() ?? {}),
      ...Object.keys(schema.getTypeMap()).filter((name) => !name.startsWith('__')),
    ];
    expect(names.filter((name) => /dar$|^dar|upload|archive|base64|bytes|vet/i.test(name))).toEqual([]);
  });

  test('is nothing that Sluice could ask a participant to take: its words have no such call', () => {
    const root = resolve(import.meta.dirname, '../..');
    const files = ['src', 'proto'].flatMap((folder) =>
      readdirSync(resolve(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.(ts|proto)$/.test(file) && !file.startsWith('simnet/'))
        .map((file) => `${folder}/${file}`),
    );
    expect(files.length).toBeGreaterThan(300);
    const calls = /UploadDar|uploadDar|ValidateDar|UpdateVettedPackages|updateVettedPackages|PackageManagementService/;
    expect(files.filter((file) => calls.test(readFileSync(resolve(root, file), 'utf8')))).toEqual([]);
  });
});
