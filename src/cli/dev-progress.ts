/**
 * What ingestion has done since the start, for the terminal of `dev`: counted from the event log like any subscriber's view, beside what the
 * database says of streams and holdings.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { EventTail } from '../db/event-tail.ts';
import {
  DEPOSIT_CREDITED,
  DEPOSIT_UNATTRIBUTED,
  depositCreditedPayload,
  depositUnattributedPayload,
  OFFER_RECEIVED,
} from '../deposits/deposit-events.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { listBalances } from '../read/balances.ts';
import { type Freshness, freshnessOf } from '../read/freshness.ts';
import { type IngestionStream, readIngestionStreams } from '../read/ingestion-streams.ts';
import { EVERYTHING } from '../read/reach.ts';
import { listWithdrawals } from '../read/withdrawals.ts';
import { parseAmount } from '../tokens/amount.ts';
import {
  WITHDRAWAL_CHANGED,
  type WithdrawalChanged,
  withdrawalChangedPayload,
} from '../withdrawals/withdrawal-events.ts';
import type { WithdrawalState } from '../withdrawals/withdrawal-state.ts';

export type ShownDeposit = {
  readonly recordTime: Micros;
  /** Units of 10⁻¹⁰. */
  readonly amount: bigint;
  readonly instrument: InstrumentKey;
  readonly memo: string | null;
  /** null: nobody's yet. */
  readonly account: string | null;
};

export type InstrumentKey = { readonly admin: string; readonly id: string };

/** By the books the first two, by the ledger the others; what is held is what is credited and what nobody owns. */
export type InstrumentTotals = {
  readonly name: string;
  readonly credited: bigint;
  /** Unattributed or unexplained. */
  readonly ownerless: bigint;
  readonly held: bigint;
  /** Offered to us and not accepted. */
  readonly offered: bigint;
};

export type DevProgress = {
  readonly streams: readonly { readonly stream: IngestionStream; readonly freshness: Freshness }[];
  readonly creditedCount: number;
  readonly unattributedCount: number;
  readonly offersCount: number;
  readonly withdrawals: WithdrawalCounts;
  readonly instruments: readonly InstrumentTotals[];
  /** The newest first. */
  readonly recent: readonly (Omit<ShownDeposit, 'instrument'> & { readonly instrument: string })[];
  /** The newest first. */
  readonly recentWithdrawals: readonly ShownWithdrawal[];
};

export type ShownWithdrawal = {
  readonly createdAt: Micros;
  /** Units of 10⁻¹⁰. */
  readonly amount: bigint;
  readonly instrument: string;
  readonly account: string;
  readonly state: WithdrawalState;
  readonly decidableBy: Micros | null;
  readonly failureCode: string | null;
};

/** Since the start: asked for, paid, and ended without payment. */
export type WithdrawalCounts = { readonly requested: number; readonly completed: number; readonly ended: number };

export type ProgressWatch = {
  /** Follows the event log until its tail ends. @throws what a page of it threw. */
  follow(): Promise<void>;
  read(): Promise<DevProgress>;
};

// What fits a terminal of 24 lines beside the rest.
const RECENT_COUNT = 5;
const RECENT_WITHDRAWALS_COUNT = 3;

/**
 * @param network only its treasuries are shown: a database may hold those of earlier runs.
 * @param after position of the event log from which to count.
 */
export function watchProgress(options: {
  readonly db: Database;
  readonly tail: EventTail;
  readonly clock: Clock;
  readonly network: string;
  readonly after: bigint;
}): ProgressWatch {
  const { db, tail, clock, network, after } = options;
  let recent: readonly ShownDeposit[] = [];
  let creditedCount = 0;
  let unattributedCount = 0;
  let offersCount = 0;
  let withdrawals: WithdrawalCounts = { requested: 0, completed: 0, ended: 0 };

  function count(deposit: ShownDeposit): void {
    if (deposit.account === null) unattributedCount++;
    else creditedCount++;
    recent = [deposit, ...recent].slice(0, RECENT_COUNT);
  }

  async function readStreams(): Promise<DevProgress['streams']> {
    const now = clock.nowMicros();
    const streams = (await readIngestionStreams(db)).filter((stream) => stream.treasury.network === network);
    return streams.map((stream) => ({
      stream,
      freshness: freshnessOf({ ...stream, now }),
    }));
  }

  async function readWithdrawals(treasury: IngestionStream['treasury'] | undefined): Promise<ShownWithdrawal[]> {
    if (treasury === undefined) return [];
    const filter = { states: null, account: null, treasury, createdFrom: null, createdBefore: null };
    const page = { limit: RECENT_WITHDRAWALS_COUNT, after: null, before: null, isFromEnd: false };
    const { rows } = await listWithdrawals(db, EVERYTHING, filter, page);
    return rows.map(({ createdAt, amount, instrument, account, state, decidableBy, failure }) => ({
      createdAt,
      amount: parseAmount(amount),
      instrument: instrument.name,
      account: account.owner,
      state,
      decidableBy,
      failureCode: failure?.code ?? null,
    }));
  }

  return {
    follow: async () => {
      for await (const { type, payload } of tail.subscribe({ after })) {
        if (type === DEPOSIT_CREDITED) count(shownOf(depositCreditedPayload.parse(payload)));
        else if (type === DEPOSIT_UNATTRIBUTED)
          count(shownOf({ ...depositUnattributedPayload.parse(payload), account: null }));
        else if (type === OFFER_RECEIVED) offersCount++;
        else if (type === WITHDRAWAL_CHANGED)
          withdrawals = counted(withdrawals, withdrawalChangedPayload.parse(payload));
      }
    },
    read: async () => {
      const streams = await readStreams();
      const treasuries = streams.map(({ stream }) => stream.treasury);
      const { rows } = await listBalances(
        db,
        { treasuries, instrument: null, isAcceptedOnly: false },
        { limit: 100, after: null, before: null, isFromEnd: false },
      );
      const booked = await readBooked(db, network);
      const instruments = new Map<string, InstrumentTotals>();
      for (const { instrument, total, incoming } of rows) {
        const key = keyOf({ admin: instrument.admin, id: instrument.instrumentId });
        const books = booked.get(key) ?? { credited: 0n, ownerless: 0n };
        const known = instruments.get(key) ?? { name: instrument.name, ...books, held: 0n, offered: 0n };
        instruments.set(key, {
          ...known,
          held: known.held + parseAmount(total),
          offered: known.offered + parseAmount(incoming),
        });
      }
      return {
        streams,
        creditedCount,
        unattributedCount,
        offersCount,
        withdrawals,
        instruments: [...instruments.values()],
        recent: recent.map((deposit) => ({
          ...deposit,
          instrument: instruments.get(keyOf(deposit.instrument))?.name ?? deposit.instrument.id,
        })),
        recentWithdrawals: await readWithdrawals(treasuries[0]),
      };
    },
  };
}

function counted(counts: WithdrawalCounts, { state, isFinal }: WithdrawalChanged): WithdrawalCounts {
  if (state === 'REQUESTED') return { ...counts, requested: counts.requested + 1 };
  if (state === 'COMPLETED') return { ...counts, completed: counts.completed + 1 };
  return isFinal ? { ...counts, ended: counts.ended + 1 } : counts;
}

type Booked = Pick<InstrumentTotals, 'credited' | 'ownerless'>;

async function readBooked(db: Database, network: string): Promise<ReadonlyMap<string, Booked>> {
  const { rows } = await sql<InstrumentKey & { credited: string; ownerless: string }>`
    SELECT instrument.admin, instrument.instrument_id AS id,
      coalesce(sum(balance) FILTER (WHERE account.kind = 'CUSTOMER'), 0)::text AS credited,
      coalesce(sum(balance) FILTER (WHERE account.kind IN ('UNATTRIBUTED', 'UNEXPLAINED')), 0)::text AS ownerless
    FROM account_balance
    JOIN account ON account.id = account_balance.account_id
    JOIN network ON network.id = account.network_id
    JOIN instrument ON instrument.id = account_balance.instrument_id
    WHERE network.name = ${network}
    GROUP BY 1, 2`.execute(db);
  return new Map(
    rows.map((row) => [keyOf(row), { credited: parseAmount(row.credited), ownerless: parseAmount(row.ownerless) }]),
  );
}

type DepositPayload = {
  readonly recordTime: string;
  readonly amount: string;
  readonly instrument: InstrumentKey;
  readonly memo: string | null;
  readonly account: string | null;
};

function shownOf({ recordTime, amount, instrument, memo, account }: DepositPayload): ShownDeposit {
  return { recordTime: BigInt(recordTime), amount: parseAmount(amount), instrument, memo, account };
}

function keyOf({ admin, id }: InstrumentKey): string {
  return JSON.stringify([admin, id]);
}
