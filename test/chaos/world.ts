/**
 * One running system for many faults: a network, a PostgreSQL, a signer and several `sluice serve` that share the work, each a process of its own; proxies between Sluice and participant and between Sluice and database;
 * subscribers who come back after every end. Starting it is paid once.
 */
import { sql } from 'kysely';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import type { Random } from '../../src/env/random.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { post } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { type PersistentSubscriber, startSubscriber } from '../support/persistent-subscriber.ts';
import { SCREENING_SECRET, startScreeningServer } from '../support/screening-server.ts';
import { startTcpBalancer, type TcpBalancer } from '../support/tcp-balancer.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { type ChaosNetwork, startNetwork } from './network.ts';
import { CUSTOMERS, type Payee } from './network-messages.ts';
import { type ChaosServer, startServer } from './server.ts';
import { type ChaosSigner, newKeys, publicDer, startSigner } from './signer.ts';
import { keepSluice, type Sluice } from './sluice.ts';
import { type ChaosToken, startToken } from './token.ts';

const NETWORK = 'chaos';
const SETTING_UP = { deadlineMs: 90_000, intervalMs: 200 };
const EVENTS = 'subscription ($after: Cursor) { events(after: $after) { cursor eventId } }';
/** Of one request before it is sent to another instance, or again: the key makes it one withdrawal. */
const ASK_MS = 10_000;
const ASKING = { deadlineMs: 120_000, intervalMs: 100 };

/** Whose money is asked for. */
export const WITHDRAWER = 'alice';

export type Order = { readonly key: string; readonly payee: Payee; readonly amount: string; isCancelled: boolean };

export type World = {
  readonly isScreening: boolean;
  readonly network: ChaosNetwork;
  readonly server: ChaosServer;
  readonly signer: ChaosSigner;
  readonly token: ChaosToken;
  readonly sluices: readonly Sluice[];
  /** Between Sluice and the participant. */
  readonly ledger: TcpProxy;
  readonly balancer: TcpBalancer;
  readonly random: Random;
  readonly orders: readonly Order[];
  readonly subscribers: readonly PersistentSubscriber[];
  /** Asks for a withdrawal until somebody has taken it. */
  withdraw(payee: Payee): Promise<void>;
  /** Asks for everything once more, under the old keys, as whoever asked has to when the database went back. */
  askAgain(): Promise<void>;
  /** Asks for the money of an offer back. */
  cancel(order: Order): Promise<void>;
  /** A pool that the treasury does not have yet, so that it has to move holdings. */
  changePool(): Promise<void>;
  /** What goes on beside what follows, until {@link World.settled}. */
  later(work: Promise<unknown>): void;
  /** Resolves when nothing goes on beside any more. @throws the first failure there was. */
  settled(): Promise<void>;
  /** Some of everything. */
  traffic(amount?: {
    readonly deposits?: number;
    readonly withdrawals?: number;
    readonly offers?: number;
  }): Promise<void>;
  stop(): Promise<void>;
};

export type WorldOptions = {
  readonly seed: number;
  /** Processes that all do everything. */
  readonly instances: number;
  /** Whether deposits and withdrawals are screened: then whoever dies while he asks keeps its answer from the others for half a minute. */
  readonly isScreening: boolean;
  /** Beside those that make faults pass quickly. */
  readonly variables?: Readonly<Record<string, string>>;
};

export async function startWorld({ seed, instances, isScreening, variables = {} }: WorldOptions): Promise<World> {
  const cleanUps: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  };
  try {
    const keys = newKeys();
    const [network, server, screening, balancer] = await Promise.all([
      startNetwork({ seed, publicKeyDer: publicDer(keys[0]) }),
      startServer(),
      startScreeningServer('allow'),
      startTcpBalancer(),
    ]);
    cleanUps.push(network.stop, server.stop, screening.stop, balancer.close);
    await network.registerKey(publicDer(keys[1]));
    const signer = await startSigner(keys, network);
    cleanUps.push(signer.stop);
    const token = await startToken(network);
    cleanUps.push(token.stop);
    const ledger = await createTcpProxy({ host: '127.0.0.1', port: network.ledgerPort });
    cleanUps.push(ledger.close);
    await registerMemos(server.db, NETWORK, CUSTOMERS);
    await network.fund(6, '2000');
    const environment = {
      DATABASE_URL: server.connectionString,
      SLUICE_LEDGER_URL: `http://127.0.0.1:${ledger.port}`,
      SLUICE_LEDGER_TOKEN_FILE: token.file,
      SLUICE_NETWORK: NETWORK,
      SLUICE_TREASURY_PARTIES: network.treasury,
      SLUICE_INSTRUMENTS: network.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
      SLUICE_REGISTRIES: network.registries.map(({ admin, url }) => `${admin}=${url}`).join(','),
      SLUICE_REGISTRY_PRIVATE: 'allow',
      SLUICE_VALIDATOR_URL: network.validatorUrl,
      SLUICE_WITHDRAWAL_KEY: 'c7'.repeat(32),
      SLUICE_SIGNER_URL: signer.url,
      SLUICE_SIGNER_KEYS: signer.fingerprints.join(','),
      ...(isScreening && {
        SLUICE_SCREENING_URL: screening.url,
        SLUICE_SCREENING_SECRET: Buffer.from(SCREENING_SECRET).toString('hex'),
        SLUICE_SCREENING_TRIES: '100',
      }),
      SLUICE_LEASE_SECONDS: '2',
      SLUICE_RECONNECT_DELAY_MS: '500',
      SLUICE_RECONNECT_TRIES: '1000',
      SLUICE_WITHDRAWAL_TTL_SECONDS: '5',
      SLUICE_WITHDRAWAL_ATTEMPTS: '100',
      SLUICE_RESTORE_MARGIN_SECONDS: '1',
      SLUICE_OFFER_TRIES: '100',
      SLUICE_OFFER_BACKOFF_SECONDS: '1',
      SLUICE_OFFER_TRIES_PER_HOUR: '100000',
      SLUICE_OFFER_TRIES_PER_INSTRUMENT_HOUR: '100000',
      SLUICE_OFFER_TRIES_PER_SENDER_HOUR: '100000',
      SLUICE_SERVICE_REQUESTS_PER_SECOND: '10000',
      SLUICE_VERIFY_SECONDS: '5',
      SLUICE_PORT: '0',
      SLUICE_ADMIN_PORT: '0',
      SLUICE_LOG_LEVEL: 'warn',
      ...variables,
    };
    const sluices = Array.from({ length: instances }, (_, index) => keepSluice(`sluice-${index + 1}`, environment));
    cleanUps.push(async () => await Promise.all(sluices.map((sluice) => sluice.stop())));
    // As one that asks after their health: whoever stands still gets nobody new.
    const healthy = (): number[] => sluices.flatMap((sluice) => (sluice.isStopped() ? [] : (sluice.port() ?? [])));
    const following = setInterval(() => balancer.setTargets(healthy()), 20);
    cleanUps.push(async () => clearInterval(following));
    await Promise.all(sluices.map((sluice) => sluice.serving()));

    const { rows } = await sql<{ epoch: string }>`SELECT epoch FROM event_log`.execute(server.db);
    const after = formatEventCursor({ epoch: rows[0]?.epoch ?? '', position: 0n });
    const subscribers = (['WS', 'SSE'] as const).map((transport) =>
      startSubscriber({ url: balancer.url, transport, query: EVENTS, after, random: systemRandom, followsLog: true }),
    );
    cleanUps.push(async () => await Promise.all(subscribers.map((subscriber) => subscriber.stop())));
    const random = createSeededRandom(seed);
    const orders: Order[] = [];
    let pools = 0;
    let beside: Promise<unknown>[] = [];

    const ask = async (query: string, variables: Record<string, unknown>): Promise<Record<string, Answered>> =>
      await eventually(async () => {
        const { data, errors } = await timely(post(balancer.url, { query, variables }));
        if (errors !== undefined) throw new Error(JSON.stringify(errors));
        return data;
      }, ASKING);

    /** Until somebody has taken it: after a database went back nobody does for a while. */
    const request = async ({ key, payee, amount }: Order): Promise<void> =>
      await eventually(async () => {
        const { createWithdrawal } = await ask(
          `mutation ($input: CreateWithdrawalInput!) { createWithdrawal(input: $input) {
            ... on CreateWithdrawalPayload { withdrawal { withdrawalId } } ... on Error { code message retryable } } }`,
          {
            input: {
              idempotencyKey: key,
              account: WITHDRAWER,
              instrumentAdmin: network.instrument.admin,
              instrumentId: network.instrument.id,
              receiver: network.payees[payee],
              amount,
            },
          },
        );
        if (createWithdrawal?.['withdrawal'] === undefined)
          throw new Error(`A withdrawal was refused: ${JSON.stringify(createWithdrawal)}`);
      }, ASKING);

    await takeOffers(ask, network);
    const world: World = {
      isScreening,
      network,
      server,
      signer,
      token,
      sluices,
      ledger,
      balancer,
      random,
      orders,
      subscribers,
      withdraw: async (payee) => {
        const key = `order-${orders.length}`;
        // Amounts that differ in the last decimals tell the payments apart.
        const amount = formatAmount(parseAmount('1') + BigInt(orders.length + 1));
        const order = { key, payee, amount, isCancelled: false };
        orders.push(order);
        await request(order);
      },
      askAgain: async () => {
        for (const order of [...orders]) {
          await request(order);
          if (order.isCancelled) await world.cancel(order);
        }
      },
      cancel: async (order) => {
        order.isCancelled = true;
        await eventually(async () => {
          const { cancelWithdrawal } = await ask(
            `mutation ($input: CancelWithdrawalInput!) { cancelWithdrawal(input: $input) {
              ... on CancelWithdrawalPayload { withdrawal { state } } ... on Error { code retryable } } }`,
            { input: { idempotencyKey: order.key } },
          );
          // As where withdrawals are off while a database that went back is made good.
          if (cancelWithdrawal?.['retryable'] === true) throw new Error(JSON.stringify(cancelWithdrawal));
        }, ASKING);
      },
      changePool: async () => {
        pools += 1;
        await sql`
          INSERT INTO pool_target (treasury_id, instrument_id, holdings_count, holding_amount, inputs_max, changed_at, changed_by)
          SELECT t.id, i.id, ${2 + (pools % 3)}, ${String(100 + pools)}, 10, 0, 'chaos' FROM instrument i, treasury_party t
          WHERE i.instrument_id = ${network.instrument.id} AND i.admin = ${network.instrument.admin}
          ON CONFLICT (treasury_id, instrument_id) DO UPDATE SET holdings_count = excluded.holdings_count, holding_amount = excluded.holding_amount`.execute(
          server.db,
        );
      },
      traffic: async ({ deposits = 3, withdrawals = 2, offers = 0.3 } = {}) => {
        await network.deposit(deposits, offers);
        for (let each = 0; each < withdrawals; each += 1) {
          const dice = random.next();
          await world.withdraw(dice < 0.6 ? 'bob' : dice < 0.85 ? 'carol' : 'dave');
        }
      },
      later: (work) => {
        work.catch(() => undefined); // Told by `settled`.
        beside.push(work);
      },
      settled: async () => {
        while (beside.length > 0) {
          const works = beside;
          beside = [];
          const ends = await Promise.allSettled(works);
          for (const end of ends) if (end.status === 'rejected') throw end.reason;
        }
      },
      stop,
    };
    return world;
  } catch (error) {
    await stop();
    throw error;
  }
}

type Answered = Readonly<Record<string, unknown>>;
type Ask = (query: string, variables: Record<string, unknown>) => Promise<Record<string, unknown>>;

async function timely<T>(asking: Promise<T>): Promise<T> {
  const over = new AbortController();
  try {
    return await Promise.race([
      asking,
      systemClock.sleep(ASK_MS, over.signal).then(() => {
        throw new Error('Nobody answers.');
      }),
    ]);
  } finally {
    over.abort();
    asking.catch(() => undefined);
  }
}

/** Lets the token be paid by offers also. */
async function takeOffers(ask: Ask, { instrument }: ChaosNetwork): Promise<void> {
  await eventually(async () => {
    const { tokens } = (await ask(
      '{ tokens(first: 50) { nodes { version instrument { id admin instrumentId } } } }',
      {},
    )) as { tokens: { nodes: readonly TokenNode[] } };
    const token = tokens.nodes.find(
      (each) => each.instrument.admin === instrument.admin && each.instrument.instrumentId === instrument.id,
    );
    const input = {
      instrument: token?.instrument.id,
      version: token?.version,
      policy: { paysOffers: true },
      why: 'Chaos.',
    };
    const answer = await ask(
      'mutation ($input: SetTokenPolicyInput!) { setTokenPolicy(input: $input) { ... on Error { code message } } }',
      { input },
    );
    if (JSON.stringify(answer['setTokenPolicy']) !== '{}') throw new Error(JSON.stringify(answer));
  }, SETTING_UP);
}

type TokenNode = {
  readonly version: number;
  readonly instrument: { readonly id: string; readonly admin: string; readonly instrumentId: string };
};
