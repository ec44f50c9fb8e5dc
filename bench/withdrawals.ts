/**
 * Withdrawals from request to seen, against a bare loop that only prepares, signs and executes, in the same run and so many at once; and how long one takes on an idle system from its request until it is
 * submitted.
 *
 * Each service has made a hundred payments before it is measured, as the loop has its connection open.
 *
 * Once beside each other on the processors of one machine, which is what limits them then; and once with a participant whose answers take their time.
 *
 * Simnet runs in a process of its own, PostgreSQL in its own; the bare loop and all of ours in this one. The two take turns. Simnet's interpreter is what a real participant's would be: the limit of both.
 */
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { createLocalSigner } from '../src/custody/local-signer.ts';
import { type Micros, millisToMicros } from '../src/env/clock.ts';
import { systemClock } from '../src/env/system.ts';
import type { TransferFactoryContext } from '../src/scan/registry-client.ts';
import { parseAmount } from '../src/tokens/amount.ts';
import { startChild } from './child.ts';
import { processorMsOf, processorMsOfFamily } from './processor-time.ts';
import { postmasterOf, withServer } from './server.ts';
import { COUNTING_SETTINGS, countAnew, printCosts } from './statement-costs.ts';
import { median, quantile, spread, wallMicros } from './statistics.ts';
import { payBare } from './withdrawals-bare.ts';
import type { PaymentNetwork } from './withdrawals-network.ts';
import {
  openPaymentRegistries,
  type PaymentKey,
  type PaymentService,
  startPaymentService,
} from './withdrawals-service.ts';

const DEPTH = 16;
const PAYMENTS = 600;
const ROUNDS = 3;
const IDLE_PAYMENTS = 100;
/** Payments that a service has made before it is measured: its connections have planned their statements then, each of which takes some milliseconds once. */
const WARMING = 100;
const IDLE_PAUSE_MS = 60;
const PATIENCE_MS = 300_000;
/** Of each call, a participant elsewhere that has others to serve. */
const ANSWER_MS = 100;

export async function benchWithdrawals({
  payments = PAYMENTS,
  rounds = ROUNDS,
  statements = false,
}: {
  readonly payments?: number;
  readonly rounds?: number;
  /** Prints what each statement costs the database; the ratios are not to be taken with it. */
  readonly statements?: boolean;
}): Promise<void> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key: PaymentKey = {
    privateKey,
    fingerprint: (await createLocalSigner({ privateKey }).currentKey()).fingerprint,
  };
  const simnet = await startChild<PaymentNetwork>(join(import.meta.dirname, 'withdrawals-network.ts'), {
    privateKeyDer: privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64'),
  });
  try {
    const network = simnet.ready;
    let answered: ((holdings: readonly string[]) => void) | null = null;
    simnet.onMessage((message) => answered?.(Array.isArray(message) ? message : []));
    const fund: Contest['fund'] = async (count, answerMs) => {
      const answer = new Promise<readonly string[]>((resolve) => {
        answered = resolve;
      });
      simnet.send(JSON.stringify({ holdings: count, ...(answerMs !== undefined && { answerMs }) }));
      return await answer;
    };
    await withServer(
      async (connectionString) => {
        const processes = { simnet: simnet.pid, postgres: await postmasterOf(connectionString) };
        await compare({ connectionString, network, key, fund, payments, rounds, statements, processes });
      },
      statements ? COUNTING_SETTINGS : {},
    );
  } finally {
    await simnet.stop();
  }
}

type Contest = {
  readonly connectionString: string;
  readonly network: PaymentNetwork;
  readonly key: PaymentKey;
  /** @param answerMs what each answer of the participant takes from now on. */
  readonly fund: (count: number, answerMs?: number) => Promise<readonly string[]>;
  readonly payments: number;
  readonly rounds: number;
  readonly statements: boolean;
  /** Process ids. */
  readonly processes: { readonly simnet: number; readonly postgres: number };
};

async function compare({
  connectionString,
  network,
  key,
  fund,
  payments,
  rounds,
  statements,
  processes,
}: Contest): Promise<void> {
  const ratios: number[] = [];
  const submitted: (() => void)[] = [];
  let asked = 0;
  const serve = async (): Promise<PaymentService> =>
    await startPaymentService(connectionString, network, key, (name) => {
      if (name === 'withdrawals.afterExecute') submitted.shift()?.();
    });
  const askAll = async (service: PaymentService, count: number): Promise<void> => {
    let left = count;
    await Promise.all(
      Array.from({ length: DEPTH }, async () => {
        while (left > 0) {
          left -= 1;
          asked += 1;
          await service.ask(`withdrawal-${asked}`);
        }
      }),
    );
  };

  const warm = async (service: PaymentService): Promise<void> => {
    const before = await completed(service);
    await askAll(service, WARMING);
    await until(async () => (await completed(service)) >= before + WARMING);
    submitted.length = 0;
  };

  /** The same where each answer of the participant takes its time, and processors have enough of it: what is lost then is lost by waiting. No more than {@link DEPTH} of ours are under way, either. */
  async function compareAtDistance(): Promise<void> {
    const count = Math.ceil(payments / 2);
    const service = await serve();
    await followed(service);
    await fund(WARMING);
    await warm(service);
    await fund(0, ANSWER_MS);
    const found: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const limit = await payBare(network, key, await contextOf(network), await fund(count), DEPTH);
      await fund(count);
      await followed(service);
      const before = await completed(service);
      const startedAt = performance.now();
      let left = count;
      await Promise.all(
        Array.from({ length: DEPTH }, async () => {
          while (left > 0) {
            left -= 1;
            const isSubmitted = new Promise<void>((resolve) => submitted.push(resolve));
            await askAll(service, 1);
            await isSubmitted;
          }
        }),
      );
      const ours = count / ((performance.now() - startedAt) / 1_000);
      await until(async () => (await completed(service)) >= before + count);
      found.push(ours / limit);
      console.log(
        `calls that take ${ANSWER_MS} ms more, round ${round + 1}: bare ${limit.toFixed(0)}/s, ours ${ours.toFixed(0)}/s, ratio ${(ours / limit).toFixed(2)}`,
      );
    }
    await service.stop();
    await fund(0, 0);
    console.log(
      `withdrawals: ${median(found).toFixed(2)} of the same loop where each call to the participant takes ${ANSWER_MS} ms more (${spread(found)}; goal 0.70)`,
    );
  }

  // The first ones of both meet code that was never run.
  for (let round = -1; round < rounds; round += 1) {
    const count = round < 0 ? Math.ceil(payments / 4) : payments;
    const context = await contextOf(network);
    const holdings = await fund(count);
    const sinceBare = stopwatch(processes);
    const limit = await payBare(network, key, context, holdings, DEPTH);
    const bareMs = sinceBare(count);
    await fund(count + WARMING);
    const service = await serve();
    await followed(service);
    await warm(service);
    const before = await completed(service);
    if (statements) await countAnew(service.db);
    const since = stopwatch(processes);
    const startedAt = performance.now();
    await askAll(service, count);
    await until(async () => (await completed(service)) >= before + count);
    const ours = count / ((performance.now() - startedAt) / 1_000);
    const oursMs = since(count);
    if (statements && round === rounds - 1) await printCosts(service.db, count);
    await service.stop();
    if (round < 0) continue;
    ratios.push(ours / limit);
    console.log(
      `round ${round + 1}: bare ${limit.toFixed(0)}/s, ours ${ours.toFixed(0)}/s, ratio ${(ours / limit).toFixed(2)}`,
    );
    console.log(`  ms of processor time for one: bare ${bareMs}; ours ${oursMs}`);
  }
  console.log(
    `withdrawals: ${median(ratios).toFixed(2)} of a bare prepare + sign + execute loop, ${DEPTH} at once (${spread(ratios)}; goal 0.70)`,
  );

  await compareAtDistance();

  await fund(IDLE_PAYMENTS + WARMING);
  const service = await serve();
  await followed(service);
  await warm(service);
  const latencies: number[] = [];
  for (let index = 0; index < IDLE_PAYMENTS; index += 1) {
    await systemClock.sleep(IDLE_PAUSE_MS);
    const isSubmitted = new Promise<void>((resolve) => submitted.push(resolve));
    const askedAt: Micros = wallMicros();
    await askAll(service, 1);
    await isSubmitted;
    latencies.push(Number(wallMicros() - askedAt) / 1_000);
  }
  await service.stop();
  console.log(
    `idle: ${latencies.length} requests one by one, from request to submitted: p50 ${quantile(latencies, 0.5).toFixed(1)} ms, ` +
      `p99 ${quantile(latencies, 0.99).toFixed(1)} ms`,
  );
}

/** @returns what has been used since, for one of so many, as text. */
function stopwatch({ simnet, postgres }: Contest['processes']): (count: number) => string {
  const used = (): readonly number[] => [
    processorMsOf(simnet),
    processorMsOf(process.pid),
    processorMsOfFamily(postgres),
  ];
  const before = used();
  return (count) => {
    const [network = 0, own = 0, database = 0] = used().map((ms, index) => (ms - (before[index] ?? 0)) / count);
    const sum = network + own + database;
    return `simnet ${network.toFixed(1)}, ours ${own.toFixed(1)}, PostgreSQL ${database.toFixed(1)}, sum ${sum.toFixed(1)}`;
  };
}

async function contextOf(network: PaymentNetwork): Promise<TransferFactoryContext> {
  return await openPaymentRegistries(network).transferFactory(network.instrument, {
    sender: network.treasury,
    receiver: network.receiver,
    amount: parseAmount('5'),
    instrument: network.instrument,
    requestedAt: wallMicros() - millisToMicros(60_000),
    executeBefore: wallMicros() + millisToMicros(PATIENCE_MS),
    inputHoldings: ['00'],
    meta: new Map(),
  });
}

async function completed({ db }: PaymentService): Promise<number> {
  const { count } = await db
    .selectFrom('withdrawal')
    .select((row) => row.fn.countAll<bigint>().as('count'))
    .where('state', '=', 'COMPLETED')
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Waits until ingestion has nothing more to read: its position stands still. */
async function followed({ db }: PaymentService): Promise<void> {
  const counted = async (): Promise<bigint> =>
    (await db.selectFrom('ingestion_stream').select('updates_count').executeTakeFirst())?.updates_count ?? 0n;
  let last = -1n;
  await until(async () => {
    const now = await counted();
    const isStill = now > 0n && now === last;
    last = now;
    if (!isStill) await systemClock.sleep(500);
    return isStill;
  });
}

async function until(isDone: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isDone())) {
    if (performance.now() > deadline) throw new Error('The benchmark does not get on.');
    await systemClock.sleep(25);
  }
}
