/** How long it takes to recover, with the timeouts that a production has by default. Each sample is a fault in a system that works, and the time until it works again. */
import { sql } from 'kysely';
import { messageOf } from '../../src/env/errors.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { checkAtRest } from '../../test/chaos/rest.ts';
import { startWorld, type World } from '../../test/chaos/world.ts';
import { post } from '../../test/support/api.ts';
import { addHarnessFailure, addSample, addViolation, type CommitCounts, type Counts, writeCounts } from './counts.ts';
import { type Say, sayPassing } from './say.ts';

/** What `startWorld` shortens, as it is by default. */
const DEFAULTS = {
  SLUICE_LEASE_SECONDS: '3',
  SLUICE_RECONNECT_DELAY_MS: '5000',
  SLUICE_WITHDRAWAL_TTL_SECONDS: '60',
};
const DEPOSIT_EVERY_MS = 50;
const LOOK_MS = 5;
const GIVE_UP_MS = 120_000;
/** What was under way at the blow has arrived by then, and does not count. */
const ECHO_MS = 150;

type Measurement = {
  readonly figure: string;
  readonly instances: number;
  /** How often in a row in one world. */
  readonly times: number;
  /** The world is of no use afterwards. */
  readonly isLast?: true;
  readonly variables?: Readonly<Record<string, string>>;
  readonly measure: (world: World) => Promise<number>;
};

const MEASUREMENTS: readonly Measurement[] = [
  {
    figure: 'killed',
    instances: 1,
    times: 20,
    measure: async (world) => await untilDurable(world, async () => world.sluices[0]?.signal('SIGKILL')),
  },
  {
    figure: 'killedOfTwo',
    instances: 2,
    times: 20,
    measure: async (world) => await untilDurable(world, async () => (await holder(world)).signal('SIGKILL')),
  },
  {
    figure: 'takeover',
    instances: 2,
    times: 10,
    measure: async (world) => {
      const stopped = await holder(world);
      try {
        return await untilDurable(world, async () => stopped.signal('SIGSTOP'));
      } finally {
        stopped.signal('SIGCONT');
      }
    },
  },
  {
    figure: 'postgres',
    instances: 1,
    times: 15,
    measure: async (world) => {
      await world.server.killPostmaster();
      // From here on there is a database again: how soon it is restarted is its keeper's.
      return await untilWritten(world);
    },
  },
  {
    figure: 'halfOpen',
    instances: 1,
    times: 5,
    measure: async (world) => await untilDurable(world, async () => world.ledger.strand()),
  },
  {
    figure: 'silent',
    instances: 1,
    times: 1,
    // From a stream that is at work: one that has only been opened is heard for the first time a moment later.
    measure: async (world) =>
      await whilePaying(world, async () => {
        await systemClock.sleep(300 + world.random.next() * 1_000);
        return await world.network.silence();
      }),
  },
  {
    figure: 'freeze',
    instances: 1,
    times: 1,
    isLast: true,
    variables: { SLUICE_VERIFY_SECONDS: '45' },
    measure: async (world) =>
      await whilePaying(world, async () => {
        await systemClock.sleep(world.random.next() * 30_000); // Any moment between two rounds.
        const startedAt = performance.now();
        // With traffic: what was hidden is missed from the next offset on that is told.
        await world.network.burnHidden();
        await until(async () => {
          const { rows } = await sql`SELECT 1 FROM money_freeze WHERE lifted_at IS NULL`.execute(world.server.db);
          return rows.length > 0;
        });
        return performance.now() - startedAt;
      }),
  },
];

export const FIGURES = MEASUREMENTS.map(({ figure }) => figure);

export async function proveFigures(options: {
  readonly counts: Counts;
  readonly entry: CommitCounts;
  readonly seconds: number;
  /** Only these; all where left out. */
  readonly only?: readonly string[];
  readonly say: Say;
}): Promise<void> {
  const { counts, entry, seconds, only = FIGURES, say } = options;
  const over = performance.now() + seconds * 1_000;
  while (performance.now() < over) {
    const wanted = MEASUREMENTS.filter(({ figure }) => only.includes(figure));
    // What was measured least comes first, so that a short run after another leaves none out.
    const samples = ({ figure }: Measurement): number =>
      counts.commits.reduce((sum, { figures }) => sum + (figures[figure]?.length ?? 0), 0);
    for (const measurement of wanted.toSorted((left, right) => samples(left) - samples(right))) {
      if (performance.now() > over) return;
      try {
        await inWorld(measurement, over, { counts, entry, say });
      } catch (error) {
        say(`${measurement.figure}: the harness failed: ${messageOf(error)}`);
        addHarnessFailure(entry, measurement.figure, error);
        writeCounts(counts);
      }
    }
  }
}

async function inWorld(
  { figure, instances, times, isLast, variables, measure }: Measurement,
  over: number,
  { counts, entry, say }: { counts: Counts; entry: CommitCounts; say: Say },
): Promise<void> {
  const seed = 1 + Math.floor(systemRandom.next() * 1e9);
  const settings = { ...DEFAULTS, ...variables };
  const world = await startWorld({ seed, instances, isScreening: false, variables: settings });
  try {
    for (let time = 0; time < times && (time === 0 || performance.now() < over); time += 1) {
      const milliseconds = await measure(world);
      addSample(entry, figure, milliseconds);
      writeCounts(counts);
      say(`${figure}: ${(milliseconds / 1_000).toFixed(2)} s`);
      if (isLast) return;
      await Promise.all(world.sluices.map((sluice) => sluice.serving()));
      const { violations, passing } = await checkAtRest(world, { isFull: false });
      sayPassing(say, passing);
      entry.checks += 1;
      if (violations.length === 0) continue;
      addViolation(entry, { tier: 'figures', what: violations.join('\n'), how: `${figure}, seed ${seed}` });
      say(`VIOLATION: ${violations.join(' | ')}`);
      return;
    }
  } finally {
    await world.stop();
  }
}

/** Deposits keep coming; from the blow to the next one that is stored. */
async function untilDurable(world: World, strike: () => Promise<unknown>): Promise<number> {
  return await whilePaying(world, async () => {
    await systemClock.sleep(300 + world.random.next() * 1_000);
    await strike();
    const struckAt = performance.now();
    await systemClock.sleep(ECHO_MS);
    const before = await stored(world);
    await until(async () => (await stored(world)) > before);
    return performance.now() - struckAt;
  });
}

/** Deposits keep coming while `work` is done. */
async function whilePaying<T>(world: World, work: () => Promise<T>): Promise<T> {
  const paying = new AbortController();
  const traffic = (async () => {
    while (!paying.signal.aborted) {
      await world.network.deposit(1, 0);
      await systemClock.sleep(DEPOSIT_EVERY_MS, paying.signal);
    }
  })();
  try {
    return await work();
  } finally {
    paying.abort();
    await traffic;
  }
}

async function stored({ server }: World): Promise<number> {
  const { rows } = await sql<{ count: number }>`SELECT count(*)::int AS count FROM ledger_update`.execute(server.db);
  return rows[0]?.count ?? 0;
}

let accounts = 0;

/** @returns milliseconds until a mutation is answered. */
async function untilWritten({ balancer }: World): Promise<number> {
  const startedAt = performance.now();
  await until(async () => {
    accounts += 1;
    const { data } = await post(balancer.url, {
      query: `mutation ($memo: String!) { createDepositAccount(input: { account: "bob", memo: $memo }) { ... on CreateDepositAccountPayload { cursor } } }`,
      variables: { memo: `figure-${accounts}-${startedAt}` },
    });
    return data?.createDepositAccount?.cursor !== undefined;
  });
  return performance.now() - startedAt;
}

/** Whoever follows the stream. */
async function holder({ server, sluices }: World) {
  const { rows } = await sql<{ holder: string }>`
    SELECT holder FROM lease WHERE name LIKE 'ingestion:%' ORDER BY expires_at DESC LIMIT 1`.execute(server.db);
  const pid = Number(rows[0]?.holder.split(':')[1]);
  const found = sluices.find((sluice) => sluice.pid() === pid);
  if (found === undefined) throw new Error(`Nobody has the stream: ${rows[0]?.holder}`);
  return found;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`Not within ${GIVE_UP_MS} ms.`);
    await systemClock.sleep(LOOK_MS);
  }
}
