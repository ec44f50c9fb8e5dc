/**
 * The comparison of three things that must be equal at every offset: the books, the holdings, and the participant's active contracts. What differs is stored, said aloud, and freezes the
 * instrument it differs in; nothing is repaired here, because whoever repairs in silence hides what broke.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { type Clock, microsToMillis } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { ActiveSetSource } from '../ingestion/active-set.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { isPaidOut, openFreeze } from '../ingestion/freezes.ts';
import {
  type ContractDifference,
  type InstrumentReconciliation,
  NOTHING_TO_COMPARE,
  type Reconciliation,
  reconcile,
} from '../ingestion/reconcile.ts';
import { bookedBalances } from './treasury-balances.ts';

export type InstrumentVerification = InstrumentReconciliation & {
  readonly admin: string;
  readonly id: string;
  /** Whether it leaves the treasury: what differs of any other is anybody's doing and moves no money of ours. */
  readonly isPaidOut: boolean;
  /** Decimal text. */
  readonly inBooks: string;
  readonly isEqual: boolean;
  /** Whether what differs puts money of ours in doubt. */
  readonly isInDoubt: boolean;
};

export type Verification = Omit<Reconciliation, 'instruments'> & {
  readonly instruments: readonly InstrumentVerification[];
  /** Whether everything agrees, paid out or not. */
  readonly isEqual: boolean;
  /** Whether what differs puts money of ours in doubt. */
  readonly isInDoubt: boolean;
};

export type VerificationOutcome =
  | ({ readonly kind: 'COMPARED' } & Verification)
  /** This participant could not be compared with at the moment; nothing is known to be wrong. */
  | { readonly kind: 'NOT_COMPARED'; readonly code: string; readonly why: string };

export type VerificationOptions = {
  readonly db: Database;
  readonly ledger: ActiveSetSource;
  readonly treasury: Treasury;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

/**
 * One round: compares, stores what was found, and freezes where money is in doubt. A difference counts when a second look, at a later moment, finds one as well: a participant that is being
 * replaced under our hands may look like one for as long as a call takes.
 * @throws RetryableError when the database is away; the participant's troubles are an outcome.
 */
export async function verifyTreasury(options: VerificationOptions): Promise<VerificationOutcome> {
  const { db, treasury, clock, logger, signal } = options;
  const startedAt = clock.nowMicros();
  let outcome = await compare(options);
  if (outcome.kind === 'COMPARED' && !outcome.isEqual) outcome = await compare(options);
  const durationMs = microsToMillis(clock.nowMicros() - startedAt);
  await store(db, treasury, outcome, { nowMicros: clock.nowMicros(), durationMs });

  if (outcome.kind === 'NOT_COMPARED') {
    const { code, why } = outcome;
    const isExpected = code === NOTHING_TO_COMPARE || signal.aborted;
    const say = isExpected ? logger.debug : logger.warn;
    say('The holdings were not compared with the ledger.', { treasury: treasury.name, code, why });
  } else if (!outcome.isEqual) {
    const { offset, isInDoubt } = outcome;
    const facts = { treasury: treasury.name, offset, detail: describe(outcome) };
    if (!isInDoubt) logger.warn('Books, holdings and ledger differ in what is not ours to pay.', facts);
    else logger.error('Books, holdings and ledger differ: what is in doubt is frozen.', facts);
    if (isInDoubt) await freeze(db, treasury, outcome, clock);
  }
  return outcome;
}

/** What differs, in a sentence or two for people. */
export function describe({ instruments, others, othersCount }: Verification): string {
  const parts = instruments.filter(({ isEqual }) => !isEqual).map(describeInstrument);
  if (othersCount > 0n) parts.push(`${othersCount} contracts of no instrument we know (${named(others)})`);
  return parts.join('. ');
}

function describeInstrument(instrument: InstrumentVerification): string {
  const { admin, id, onLedger, inHoldings, inBooks, differences, differingCount } = instrument;
  const which = differingCount === 0n ? '' : ` (${named(differences)})`;
  return `${id} of ${admin}: ${onLedger} on the ledger, ${inHoldings} in holdings, ${inBooks} in the books; ${differingCount} contracts differ${which}`;
}

function named(differences: readonly ContractDifference[]): string {
  const shown = differences.slice(0, CONTRACTS_NAMED);
  return shown.map(({ kind, contractId }) => `${kind} ${contractId}`).join(', ');
}

const CONTRACTS_NAMED = 3; // In a sentence; the stored result names more.

async function compare(options: VerificationOptions): Promise<VerificationOutcome> {
  const { db, treasury } = options;
  try {
    return await db
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute(async (tx) => {
        const found = await reconcile(tx, options);
        return { kind: 'COMPARED', ...(await withBooks(tx, treasury, found)) };
      });
  } catch (error) {
    const isOurs = error instanceof RetryableError || error instanceof PermanentError;
    if (!isOurs || error.code.startsWith('DB_')) throw error;
    return { kind: 'NOT_COMPARED', code: error.code, why: error.message };
  }
}

async function withBooks(tx: Transaction, treasury: Treasury, found: Reconciliation): Promise<Verification> {
  const booked = await bookedBalances(tx, treasury);
  const keys = [...new Set([...found.instruments.map(({ instrumentKey }) => instrumentKey), ...booked.keys()])];
  const { rows } = await sql<{ key: number; admin: string; id: string; isPaidOut: boolean; isBooked: boolean }>`
    SELECT i.id AS key, i.admin, i.instrument_id AS id, seen.held = seen.booked AS "isBooked",
      ${isPaidOut(sql`${treasury.id}::int`, sql`i.id`)} AS "isPaidOut"
    FROM unnest(
      ${keys}::int[],
      ${keys.map((key) => found.instruments.find(({ instrumentKey }) => instrumentKey === key)?.inHoldings ?? '0')}::numeric[],
      ${keys.map((key) => booked.get(key) ?? '0')}::numeric[]
    ) AS seen (key, held, booked)
    JOIN instrument i ON i.id = seen.key ORDER BY i.admin, i.instrument_id`.execute(tx);
  const instruments = rows.map(({ isBooked, ...row }): InstrumentVerification => {
    const reconciled = found.instruments.find(({ instrumentKey }) => instrumentKey === row.key) ?? nothing(row.key);
    const { admin, id } = row;
    return {
      ...reconciled,
      admin,
      id,
      isPaidOut: row.isPaidOut,
      inBooks: booked.get(row.key) ?? '0',
      isEqual: isBooked && reconciled.differingCount === 0n,
      isInDoubt: row.isPaidOut && (!isBooked || reconciled.doubtfulCount > 0n),
    };
  });
  return {
    ...found,
    instruments,
    isEqual: found.othersCount === 0n && instruments.every(({ isEqual }) => isEqual),
    isInDoubt: found.othersDoubtfulCount > 0n || instruments.some(({ isInDoubt }) => isInDoubt),
  };
}

const nothing = (instrumentKey: number): InstrumentReconciliation => ({
  instrumentKey,
  onLedger: '0',
  inHoldings: '0',
  contractsCount: 0n,
  differences: [],
  differingCount: 0n,
  doubtfulCount: 0n,
});

/** The instruments that are in doubt, or, where nobody can tell which ones are, the treasury. */
async function freeze(db: Database, treasury: Treasury, found: Verification, clock: Clock): Promise<void> {
  const inDoubt = found.instruments.filter(({ isInDoubt }) => isInDoubt);
  const scopes =
    found.othersDoubtfulCount > 0n
      ? [{ instrumentKey: null, what: describe(found) }]
      : inDoubt.map((each) => ({ instrumentKey: each.instrumentKey, what: describeInstrument(each) }));
  for (const { instrumentKey, what } of scopes) {
    await openFreeze(db, {
      treasuryId: treasury.id,
      instrumentKey,
      reason: 'LEDGER_DIFFERS',
      detail: `At offset ${found.offset}: ${what}`,
      cause: `verification:${found.epoch}:${found.offset}`,
      openedBy: 'verification',
      nowMicros: clock.nowMicros(),
    });
  }
}

async function store(
  db: Database,
  treasury: Treasury,
  outcome: VerificationOutcome,
  { nowMicros, durationMs }: { readonly nowMicros: bigint; readonly durationMs: number },
): Promise<void> {
  const trouble = outcome.kind === 'COMPARED' ? null : `${outcome.code}: ${outcome.why}`;
  const result =
    outcome.kind === 'NOT_COMPARED'
      ? {}
      : {
          checked_at: nowMicros,
          epoch: outcome.epoch,
          ledger_offset: outcome.offset,
          duration_ms: durationMs,
          is_equal: outcome.isEqual,
          is_in_doubt: outcome.isInDoubt,
          holdings_count: outcome.holdingsCount,
          offers_count: outcome.offersCount,
          others: JSON.stringify(outcome.others),
          others_count: outcome.othersCount,
        };
  await db.transaction().execute(async (tx) => {
    const row = { tried_at: nowMicros, trouble, ...result };
    await tx
      .insertInto('verification')
      .values({ treasury_id: treasury.id, ...row })
      .onConflict((conflict) => conflict.column('treasury_id').doUpdateSet(row))
      .execute();
    if (outcome.kind === 'NOT_COMPARED') return;
    await tx.deleteFrom('verification_instrument').where('treasury_id', '=', treasury.id).execute();
    const rows = outcome.instruments.map((instrument) => ({
      treasury_id: treasury.id,
      instrument_id: instrument.instrumentKey,
      on_ledger: instrument.onLedger,
      in_holdings: instrument.inHoldings,
      in_books: instrument.inBooks,
      contracts_count: String(instrument.contractsCount),
      differences: instrument.differences,
      differing_count: String(instrument.differingCount),
    }));
    await sql`INSERT INTO verification_instrument
      SELECT * FROM json_populate_recordset(NULL::verification_instrument, ${JSON.stringify(rows)}::json)`.execute(tx);
  });
}
