/** Where a drill takes place: a database, a simulated network with two validators, the service, and customers who do not stop. */
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { migrate } from '../db/migrate.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import { noFailpoints } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import { createSeededRandom } from '../env/random.ts';
import { createCustomers } from '../simnet/customers.ts';
import type { Network } from '../simnet/network.ts';
import { TREASURY } from '../simnet/network.ts';
import type { Simnet } from '../simnet/simnet.ts';
import { startSimnet } from '../simnet/simnet.ts';
import { amountOf, parseAmount } from '../tokens/amount.ts';
import type { WithdrawalRequest } from '../withdrawals/withdrawal-requests.ts';
import type { CommandContext } from './command-context.ts';
import { readBooks, type StreamState } from './drill-books.ts';
import { createDrillDatabase, type DrillDatabase } from './drill-database.ts';
import { ACTIONS, createTruth, PAID_IN, type Truth } from './drill-truth.ts';
import { openDatabase } from './open-database.ts';
import { type Service, startService } from './service.ts';
import type { Shutdown } from './shutdown.ts';
import { environmentFor, payoutEnvironmentFor } from './simnet-environment.ts';

export type Scene = {
  readonly network: Network;
  readonly clock: Clock;
  /** A line of the report. */
  readonly say: (line: string) => void;
  /** Customers deposit and are paid, until `stopLoad`. */
  startLoad(): void;
  stopLoad(): Promise<void>;
  /** A single deposit of a customer. */
  depositOnce(): void;
  /** Resolves when the network has done `count` more deposits. */
  moreLoad(count: number): Promise<void>;
  /** Waits until `isReached` says so of our own state. @throws PermanentError DRILL_TIMEOUT, naming `what`. */
  until(what: string, isReached: (stream: StreamState) => boolean): Promise<StreamState>;
  stream(): Promise<StreamState>;
  /** With the load stopped: waits until everything is in and paid, compares, prints the comparison. @returns whether nothing differs. */
  compare(title: string, only?: CompareOptions): Promise<boolean>;
  /** The service as it runs now. */
  service(): Service;
  /** Ends the service, and starts it with further variables of the configuration; they stay. */
  stopService(): Promise<void>;
  startService(environment?: Readonly<Record<string, string>>): Promise<void>;
  /** Every payout that was asked for and accepted, oldest first. */
  requests(): readonly WithdrawalRequest[];
  /** Asks for a payout. @returns whether it was accepted. */
  payOutOnce(): Promise<boolean>;
  /** What the network's own ledger says the receiver of all payouts has. */
  received(): string;
  readonly networkName: string;
  /** Only with a database of its own. */
  readonly database: DrillDatabase | null;
};

/** @param isActionsCompared false: what Sluice did about offers is not among what the ledger tells. */
export type CompareOptions = { readonly isActionsCompared: boolean };

const CHECKPOINTS = { busyMs: 200, idleMs: 400 };
const CUSTOMERS = 4;
const DEPOSIT_INTERVAL_MS = 30;
const PAYOUT_INTERVAL_MS = 400;
const DEADLINE_MS = 90_000;
const POLL_MS = 50;
const CLIENT = 'drill';

/** Ready to run: accounts are open, the stream follows. Everything is registered for teardown. */
export async function openScene(parts: {
  /** Whether the drill makes a database of its own, which it may copy and put back. */
  readonly isDatabaseOwn?: boolean;
  readonly context: CommandContext;
  readonly config: Pick<Config, 'databaseUrl' | 'dataDir'>;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
}): Promise<Scene> {
  const { context, config, logger, shutdown, isDatabaseOwn = false } = parts;
  const { clock, random, terminal } = context;
  const { teardown, requested } = shutdown;
  const say = (line: string): void => terminal.print(`  ${line}`);

  const env = { clock, random, logger, failpoint: noFailpoints };
  const opened = await openDatabase(config, { ...env, teardown, isThrowAway: true });
  const seed = random.uuid().slice(0, 8);
  const database = isDatabaseOwn ? await createDrillDatabase(opened.connectionString, seed, logger) : null;
  if (database !== null) teardown.add('database of the drill', database.drop);
  const { connectionString } = database ?? opened;
  await migrate({ connectionString, logger });
  const simnet = await startSimnet({ seed, clock, random, logger, checkpoints: CHECKPOINTS });
  teardown.add('simulated network', simnet.stop);
  const { network } = simnet;
  const networkName = `drill-${seed}`;
  let environment = await serviceEnvironment(simnet, context, { networkName, connectionString });
  const start = async (): Promise<Service> =>
    await startService({ config: loadConfig(environment), connectionString, env });
  let service = await start();
  teardown.add(
    'service',
    async () => await service.stop(),
    () => service.stopping(),
  );
  say(`Network ${networkName}: two validators host the treasury; ${CUSTOMERS} customers deposit and are paid.`);

  const truth = createTruth(network);
  const customers = createCustomers({
    network,
    clock,
    random: createSeededRandom(1),
    logger: quiet(logger),
    count: CUSTOMERS,
    isTreasuryAccepting: true,
    onActivity: truth.note,
  });
  for (const { name: account, memo } of customers.customers) {
    await service.depositAccounts.create({ network: networkName, account, memo, createdBy: CLIENT });
  }
  const payee = network.allocateParty({ hint: 'drill-payee', on: ['participant1'] });
  network.preapprove({ instrument: PAID_IN, receiver: payee });

  const requests: WithdrawalRequest[] = [];
  const payOutOnce = async (): Promise<boolean> => {
    const request: WithdrawalRequest = {
      client: CLIENT,
      // A database that is given may have seen drills before.
      idempotencyKey: `${payee}/${truth.payouts() + 1}`,
      account: customers.customers[0]?.name ?? '',
      treasuryParty: network.party(TREASURY),
      instrument: network.instrument(PAID_IN),
      receiver: payee,
      amount: amountOf(parseAmount(`0.${String((truth.payouts() % 9) + 1)}`)),
      memo: null,
    };
    try {
      await service.withdrawals?.create(request);
    } catch (error) {
      logger.warn('A payout was not accepted.', { why: messageOf(error) });
      return false;
    }
    requests.push(request);
    truth.notePayout(request.amount);
    return true;
  };
  const payOut = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await payOutOnce();
      await clock.sleep(PAYOUT_INTERVAL_MS, signal);
    }
  };

  let load = new AbortController();
  let running: Promise<unknown> = Promise.resolve();
  teardown.add('load', async () => {
    load.abort();
    await running;
  });
  const startLoad = (): void => {
    load = new AbortController();
    const signal = AbortSignal.any([load.signal, requested]);
    running = Promise.all([customers.run({ intervalMs: DEPOSIT_INTERVAL_MS, signal }), payOut(signal)]);
  };
  const stopLoad = async (): Promise<void> => {
    load.abort();
    await running;
  };
  const stream = () => readBooks(service.db, networkName).stream();
  const until = async <T>(what: string, attempt: () => Promise<T | null>): Promise<T> => {
    const deadline = clock.nowMicros() + BigInt(DEADLINE_MS) * 1_000n;
    for (;;) {
      const reached = await attempt();
      if (reached !== null) return reached;
      requested.throwIfAborted();
      const { status, statusReason } = await stream();
      if (status === 'HALTED') throw new PermanentError('DRILL_HALTED', `The stream halted: ${statusReason}`);
      if (clock.nowMicros() > deadline) {
        throw new PermanentError('DRILL_TIMEOUT', `Waited ${DEADLINE_MS / 1_000} s in vain until ${what}.`, {
          statusReason,
        });
      }
      await clock.sleep(POLL_MS);
    }
  };

  return {
    network,
    clock,
    say,
    startLoad,
    stopLoad,
    depositOnce: () => {
      const [customer] = customers.customers;
      if (customer !== undefined) truth.deposit(customer, '12.5');
    },
    moreLoad: async (count) => {
      const wanted = truth.activities() + count;
      await until(`${count} more deposits were made`, async () => (truth.activities() >= wanted ? true : null));
    },
    stream,
    until: (what, isReached) =>
      until(what, async () => {
        const state = await stream();
        return isReached(state) ? state : null;
      }),
    networkName,
    database,
    service: () => service,
    stopService: async () => await service.stop(),
    startService: async (more = {}) => {
      environment = { ...environment, ...more };
      service = await start();
    },
    requests: () => requests,
    payOutOnce,
    received: () => network.balance({ instrument: PAID_IN, owner: payee }),
    compare: async (title, { isActionsCompared } = { isActionsCompared: true }) => {
      await until('every update of the network is in the database', async () =>
        (await allIn(service.db, truth)) ? true : null,
      );
      await until('every offer for a known account is accepted', async () => (truth.openOffers() === 0 ? true : null));
      await until('every payout is final', async () =>
        (await readBooks(service.db, networkName).openPayouts()) === 0n ? true : null,
      );
      // What the treasury did last, nobody else has a record of.
      await until('everything that the participant has is read', async () =>
        isRead(network, await stream()) ? true : null,
      );
      return compare(title, { truth, db: service.db, networkName, payee, terminal, isActionsCompared });
    },
  };
}

async function serviceEnvironment(
  simnet: Simnet,
  { random }: CommandContext,
  { networkName, connectionString }: { readonly networkName: string; readonly connectionString: string },
): Promise<Readonly<Record<string, string>>> {
  const [first, second] = simnet.participants;
  if (first === undefined || second === undefined) throw new RangeError('The network has two validators.');
  return {
    ...environmentFor(simnet, first),
    ...(await payoutEnvironmentFor(simnet, random)),
    SLUICE_LEDGER_URL: `http://${first.grpcAddress},http://${second.grpcAddress}`,
    SLUICE_NETWORK: networkName,
    DATABASE_URL: connectionString,
    SLUICE_ROLE: 'worker',
    // A drill is watched: everything that takes minutes in earnest takes seconds here.
    SLUICE_LEDGER_SWITCH_SECONDS: '1',
    SLUICE_LEDGER_SILENCE_SECONDS: '3',
    SLUICE_RECONNECT_DELAY_MS: '500',
    SLUICE_RECONNECT_TRIES: '200',
    SLUICE_WITHDRAWAL_TTL_SECONDS: '10',
    SLUICE_WITHDRAWAL_ATTEMPTS: '20',
    SLUICE_OFFER_TRIES: '20',
    SLUICE_OFFER_BACKOFF_SECONDS: '1',
    // A few customers who deposit all the time, where nothing costs anything.
    SLUICE_OFFER_TRIES_PER_HOUR: '100000',
    SLUICE_OFFER_TRIES_PER_INSTRUMENT_HOUR: '100000',
    SLUICE_OFFER_TRIES_PER_SENDER_HOUR: '100000',
    SLUICE_VERIFY_SECONDS: '1',
  };
}

async function allIn(db: Database, truth: Truth): Promise<boolean> {
  const ids = truth.updateIds();
  const { count } = await db
    .selectFrom('ledger_update')
    .select(({ fn }) => fn.count<bigint>('update_id').distinct().as('count'))
    .where('update_id', 'in', ids.length === 0 ? [''] : ids)
    .executeTakeFirstOrThrow();
  return count === BigInt(ids.length);
}

/** Whether our position is at the end of the participant that we follow, and that one at the end of the network. */
function isRead({ participants }: Network, { participantId, offset }: StreamState): boolean {
  const followed = participants.find((participant) => participant.participantId === participantId);
  return followed !== undefined && followed.intake.behind() === 0 && offset >= followed.ledgerEnd();
}

async function compare(
  title: string,
  scene: {
    readonly truth: Truth;
    readonly db: Database;
    readonly networkName: string;
    readonly payee: string;
    readonly terminal: CommandContext['terminal'];
    readonly isActionsCompared: boolean;
  },
): Promise<boolean> {
  const { truth, db, networkName, payee, terminal, isActionsCompared } = scene;
  const books = await readBooks(db, networkName).all();
  const rows = truth.compareWith(books, payee).filter(({ what }) => isActionsCompared || what !== ACTIONS);
  const differences = rows.filter(({ network, books: ours }) => network !== ours);
  terminal.print();
  terminal.print(`  ${title}: the network's own account and our books`);
  for (const { what, network, books: ours } of rows) {
    terminal.print(
      `    ${network === ours ? 'equal   ' : 'DIFFERS '} ${what}: ${network}${network === ours ? '' : `, we have ${ours}`}`,
    );
  }
  for (const fault of books.faults) terminal.print(`    FAULT    ${fault}`);
  return differences.length === 0 && books.faults.length === 0;
}

/** Refusals of the network are part of a drill. */
function quiet(logger: Logger): Logger {
  return { ...logger, warn: logger.debug };
}
