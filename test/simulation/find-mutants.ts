/**
 * The harness proves itself: every mistake of `mutants.ts` is found. Each runs in a process of its own, whose copy of the product has the mistake in it, beginning with
 * the seed that found it last; SIMULATION_MUTANTS=search looks for the first seed again.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import type { Mutant } from './mutants.ts';

const PROGRAM = fileURLToPath(new URL('mutant-run.ts', import.meta.url));
/** Seeds within which each mistake must be found. */
const BUDGET = 100;
const isSearch = process.env['SIMULATION_MUTANTS'] === 'search';

/** One test for each. */
export function testThatFound(mutants: readonly Mutant[]): void {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(async () => {
    await database.close();
  });

  test.each(mutants)('$name is found', { timeout: 400_000 }, async ({ name, killedBy }) => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM], {
      env: {
        ...process.env,
        MUTANT: name,
        DATABASE: database.connectionString,
        FROM: String(isSearch ? 1 : killedBy),
        SEEDS: String(BUDGET),
      },
    });

    const finding: unknown = JSON.parse(stdout);
    expect(finding, `${name} lived through ${BUDGET} seeds`).toEqual(
      expect.objectContaining({ seed: expect.any(Number), invariant: expect.any(String) }),
    );
    const { seed, seedsTried, invariant } = finding as { seed: number; seedsTried: number; invariant: string };
    console.log(`${name}: seed ${seed}, after ${seedsTried} tried: ${invariant}`);
  });
}
