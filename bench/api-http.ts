/**
 * A page of 50 rows with nested fields: Sluice's API against the same SQL behind plain `node:http`, whose answer is put together by hand, and
 * against mercurius with its JIT on the same schema. Each is a process of its own; they take turns, and their answers are equal.
 */
import { deepStrictEqual } from 'node:assert';
import { join } from 'node:path';
import { createDatabase } from '../src/db/connection.ts';
import { createSystemLogger } from '../src/env/system.ts';
import { createRows, DAY } from '../test/support/rows.ts';
import { type Load, loadOf } from './api-load.ts';
import { API_BODY } from './api-question.ts';
import { type Child, startChild } from './child.ts';
import { withServer } from './server.ts';
import { median, quantile, spread } from './statistics.ts';

const ROUNDS = 5;
const SECONDS = 3;
const CONNECTIONS = 16;
const TRANSFERS = 2_000;
const ACCOUNTS = 100;
const KINDS = ['sluice', 'plain', 'mercurius'] as const;

export async function benchApiHttp({ rounds = ROUNDS }: { readonly rounds?: number }): Promise<void> {
  await withServer(async (connectionString) => {
    await seed(connectionString);
    const script = join(import.meta.dirname, 'api-contestant.ts');
    const children: Child<{ readonly port: number }>[] = [];
    try {
      for (const kind of KINDS) children.push(await startChild(script, { kind, connectionString }));
      await compare(
        children.map(({ ready }) => ready.port),
        rounds,
      );
    } finally {
      for (const child of children) await child.stop();
    }
  });
}

async function compare(ports: readonly number[], rounds: number): Promise<void> {
  const answers = await Promise.all(ports.map(ask));
  for (const answer of answers) deepStrictEqual(answer, answers[0]);

  const loads: Load[][] = KINDS.map(() => []);
  const ratios: number[][] = KINDS.map(() => []);
  // The first round is for compilers and caches.
  for (let round = -1; round < rounds; round++) {
    const turn: Load[] = [];
    for (const port of ports) {
      turn.push(await loadOf(port, API_BODY, { connections: CONNECTIONS, seconds: SECONDS }, quantile));
    }
    if (round < 0) continue;
    for (const [index, load] of turn.entries()) {
      loads[index]?.push(load);
      ratios[index]?.push((turn[0]?.perSecond ?? 0) / load.perSecond);
    }
  }
  console.log(`api: 50 rows with nested fields, ${CONNECTIONS} connections, ${rounds} rounds of ${SECONDS} s`);
  for (const [index, kind] of KINDS.entries()) {
    const own = loads[index] ?? [];
    const of = (pick: (load: Load) => number): string => median(own.map(pick)).toFixed(0).padStart(5);
    console.log(
      `  ${LABELS[kind].padEnd(34)} ${of(({ perSecond }) => perSecond)} requests/s, p50 ${of(({ p50Ms }) => p50Ms)} ms, p99 ${of(({ p99Ms }) => p99Ms)} ms`,
    );
  }
  for (const [index, kind] of KINDS.entries()) {
    if (kind === 'sluice') continue;
    const own = ratios[index] ?? [];
    const goal = kind === 'plain' ? ' (goal: at least 0.45)' : '';
    console.log(`  sluice to ${LABELS[kind]}: ${median(own).toFixed(2)} ${spread(own)}${goal}`);
  }
}

const LABELS: Readonly<Record<(typeof KINDS)[number], string>> = {
  sluice: 'sluice',
  plain: 'the same SQL behind node:http',
  mercurius: 'mercurius with its JIT',
};

async function ask(port: number): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: API_BODY,
  });
  return await response.json();
}

async function seed(connectionString: string): Promise<void> {
  const logger = createSystemLogger('error');
  const { db, close } = createDatabase({ connectionString, applicationName: 'bench-seed', poolSizeMax: 1, logger });
  const rows = createRows(db);
  const accounts: string[] = [];
  for (let index = 0; index < ACCOUNTS; index++) {
    accounts.push(await rows.depositAccount(`memo-${index}`, `customer-${index}`));
  }
  for (let index = 0; index < TRANSFERS; index++) {
    const memo = `memo-${index % ACCOUNTS}`;
    const id = await rows.transfer({ updateId: `update-${index}`, memo, recordTime: DAY + BigInt(index) });
    await rows.attribution(id, `customer-${index % ACCOUNTS}`, accounts[index % ACCOUNTS]);
  }
  await close();
}
