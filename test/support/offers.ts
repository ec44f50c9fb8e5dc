/** Withdrawals by offer against a simulated network: who is paid so, what the receivers do, and what the database makes of it. */
import { sql } from 'kysely';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { packagesOf } from '../../src/directory/token-policy.ts';
import { insertToken } from '../../src/directory/token-rows.ts';
import { millisToMicros } from '../../src/env/clock.ts';
import { systemClock } from '../../src/env/system.ts';
import { instructionOf } from '../../src/simnet/network-commands.ts';
import type { SimnetOptions } from '../../src/simnet/simnet.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createSelfTransferSink } from '../../src/withdrawals/pool/self-transfer-sink.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { applyWithdrawalEvent } from '../../src/withdrawals/withdrawal-store.ts';
import { createTestDatabase } from './database.ts';
import { eventually } from './eventually.ts';
import { startIngestion } from './ingestion.ts';
import { NETWORK, startTestNetwork } from './network.ts';
import { type PayoutOptions, SIGNER_SEED, startPayouts } from './payouts.ts';
import { registryOf } from './simnet-registry.ts';

export type Instrument = 'amulet' | 'usd' | 'note';

export const OFFER_LIMITS: AttemptLimits = {
  ttlMs: 5_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 3,
  triesMax: 6,
  tryHoldMs: 1_000,
};

export type OfferScene = Awaited<ReturnType<typeof startOfferScene>>;

export async function startOfferScene(seed: string, options: Partial<SimnetOptions> = {}) {
  const database = await createTestDatabase();
  let aheadMicros = 0n;
  const clock = { ...systemClock, nowMicros: () => systemClock.nowMicros() + aheadMicros };
  const simnet = await startTestNetwork(seed, { clock, ...options });
  const { network } = simnet;
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [
      createWithdrawalSink({ clock: systemClock, logger: database.logger }),
      createSelfTransferSink({ clock: systemClock }),
    ],
  });
  const { db } = database;
  const withdrawals = createWithdrawals({ db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) });
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const stopping: (() => Promise<void>)[] = [];

  const instrumentKey = async (instrument: Instrument): Promise<number> => {
    const { admin, id } = network.instrument(instrument);
    const row = await db
      .selectFrom('instrument')
      .select('id')
      .where('admin', '=', admin)
      .where('instrument_id', '=', id)
      .executeTakeFirstOrThrow();
    return row.id;
  };

  const scene = {
    db,
    network,
    simnet,
    treasury,
    logger: database.logger,
    connectionString: database.connectionString,
    withdrawals,
    instrumentKey,
    /** What the token directory has it that is done with the instrument. */
    decide: async (
      instrument: Instrument,
      policy: {
        readonly paysDirect?: boolean;
        readonly paysOffers?: boolean;
        readonly validitySeconds?: number;
        readonly returnFee?: string;
      },
    ) => {
      const implementations = { amulet: 'SPLICE_AMULET', usd: 'UTILITY_REGISTRY', note: 'OTHER' } as const;
      const implementation = implementations[instrument];
      const id = await instrumentKey(instrument);
      await db.transaction().execute(
        async (tx) =>
          await insertToken(tx, id, {
            policy: {
              creditsDeposits: true,
              acceptsOffers: true,
              depositMin: '0',
              paysDirect: policy.paysDirect ?? true,
              paysOffers: policy.paysOffers ?? true,
              offerValiditySeconds: policy.validitySeconds ?? 3_600,
              returnFee: policy.returnFee ?? '0',
            },
            implementation,
            packages: packagesOf(implementation),
            nowMicros: systemClock.nowMicros(),
            by: 'test',
          }),
      );
    },
    start: (more: Partial<PayoutOptions> = {}) => {
      const payouts = startPayouts({
        db,
        treasury,
        ledgerUrl: simnet.ledgerUrl(),
        registry: registryOf(simnet),
        logger: database.logger,
        limits: OFFER_LIMITS,
        ...more,
      });
      stopping.push(payouts.stop);
      return payouts;
    },
    fund: (instrument: Instrument, count = 1, amount = '10') => {
      for (let index = 0; index < count; index += 1) network.tap({ instrument, owner: 'treasury', amount });
    },
    ask: async (idempotencyKey: string, instrument: Instrument, amount = '5', memo: string | null = null) => {
      const made = await withdrawals.create({
        client: 'exchange',
        idempotencyKey,
        account: 'alice',
        treasuryParty: network.party('treasury'),
        instrument: network.instrument(instrument),
        receiver: network.party('bob'),
        amount: parseAmount(amount),
        memo,
      });
      return made.id;
    },
    cancel: async (id: string) =>
      await db
        .transaction()
        .execute(
          async (tx) =>
            await applyWithdrawalEvent(tx, id, { kind: 'CANCEL_REQUESTED' }, { nowMicros: systemClock.nowMicros() }),
        ),
    rows: async () => await db.selectFrom('withdrawal').selectAll().orderBy('created_at').orderBy('id').execute(),
    returns: async () => await db.selectFrom('offer_return').selectAll().orderBy('withdrawal_id').execute(),
    /** Time passes on the network, and only there: at most ten minutes, or nothing is paid any more. */
    pass: (milliseconds: number) => {
      aheadMicros += millisToMicros(milliseconds);
    },
    /** How many withdrawals are in each state. */
    become: async (wanted: Record<string, number>, deadlineMs = 40_000) =>
      await eventually(
        async () => {
          const { rows } = await sql<{ state: string; count: number }>`
            SELECT state, count(*)::int AS count FROM withdrawal GROUP BY 1`.execute(db);
          const found = Object.fromEntries(rows.map(({ state, count }) => [state, count]));
          if (JSON.stringify(sorted(found)) !== JSON.stringify(sorted(wanted))) {
            throw new Error(`Found ${JSON.stringify(found)}, expected ${JSON.stringify(wanted)}.`);
          }
        },
        { deadlineMs },
      ),
    /** Contract ids of the offers that the treasury has out on the network itself. */
    offers: (): string[] =>
      [...network.ledger.contracts.active()]
        .filter((contract) => instructionOf(contract)?.sender === network.party('treasury'))
        .map(({ contractId }) => contractId),
    /** What the books owe a customer, or the house has on an account of that kind. */
    balance: async (kind: string, instrument: Instrument): Promise<string> => {
      const { rows } = await sql<{ balance: string }>`
        SELECT coalesce(sum(b.balance), 0)::numeric(38, 10)::text AS balance FROM account_balance b JOIN account a ON a.id = b.account_id
        WHERE a.kind = ${kind} AND b.instrument_id = ${await instrumentKey(instrument)}`.execute(db);
      return rows[0]?.balance ?? '';
    },
    stop: async () => {
      for (const stop of stopping.splice(0)) await stop();
      await ingestion.stop();
      await simnet.stop();
      await database.close();
    },
  };
  return scene;
}

function sorted(counts: Record<string, number>): [string, number][] {
  return Object.entries(counts).toSorted(([left], [right]) => (left < right ? -1 : 1));
}
