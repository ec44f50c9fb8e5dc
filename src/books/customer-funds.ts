/**
 * Whether customers have what they are to give, where Sluice keeps their balances. The rows are locked until the transaction ends, so what was seen holds until it is booked; the check in the
 * database (`customer_balance_covers`) stands behind it for whoever forgets to ask.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import { type Amount, formatAmount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { areBooksBehind } from './books-behind.ts';
import { type ConfiguredBooks, readBooksMode } from './books-mode.ts';

/** What an account is to give, or to get; `account` is the exchange's own name. */
export type Claim = {
  readonly accountId: bigint;
  readonly account: string;
  readonly instrumentKey: number;
  readonly instrument: Instrument;
  /** What it gives. Zero: it only gets, and is locked with the others. */
  readonly gives: Amount;
};

/** Sums are unbounded, so `available` is no Amount. Units of 10⁻¹⁰. */
export type Shortfall = {
  readonly account: string;
  readonly instrument: Instrument;
  readonly available: bigint;
  readonly asked: Amount;
};

/** Customers have less than they are to give. Nothing was booked. */
export class InsufficientFundsError extends PermanentError {
  readonly shortfalls: readonly [Shortfall, ...Shortfall[]];
  constructor(shortfalls: readonly [Shortfall, ...Shortfall[]]) {
    const [{ account, available, asked }] = shortfalls;
    super(
      'INSUFFICIENT_FUNDS',
      `The account ${account} has ${formatAmount(available)} available, and ${formatAmount(asked)} is asked for.`,
      { shortfalls: shortfalls.length },
    );
    this.shortfalls = shortfalls;
  }
}

/** The database was restored, and nobody has said yet that the post transfers it lost were sent again: nobody knows what customers have. */
export class BooksBehindError extends RetryableError {
  constructor() {
    super(
      'BOOKS_BEHIND',
      'The database was restored, and the post transfers that it lost may be missing: nobody knows what customers have.',
    );
  }
}

/**
 * Locks what each account has, in the one order of all who do, and looks whether that is enough. Does nothing where the exchange keeps the balances.
 * @throws InsufficientFundsError.
 */
export async function demandFunds(tx: Transaction, networkId: number, claims: readonly Claim[]): Promise<void> {
  const available = await lockFunds(tx, networkId, claims);
  if (available === null) return;
  const [first, ...others] = claims.flatMap((claim): readonly Shortfall[] => {
    const { account, instrument, gives } = claim;
    const has = available(claim);
    return has >= gives ? [] : [{ account, instrument, available: has, asked: gives }];
  });
  if (first !== undefined) throw new InsufficientFundsError([first, ...others]);
}

/**
 * Before anything leaves for the ledger.
 * @param configured what this process was told; see {@link areBooksBehind}.
 * @throws BooksBehindError where the balances may be too high.
 */
export async function demandWholeBooks(
  tx: Transaction,
  networkId: number,
  configured: ConfiguredBooks = 'external',
): Promise<void> {
  const { rows } = await sql<{ isBehind: boolean }>`
    SELECT ${areBooksBehind(sql`${networkId}::smallint`, configured)} AS "isBehind"`.execute(tx);
  if (rows[0]?.isBehind === true) throw new BooksBehindError();
}

/** What of a claim its account has not, locked; nothing where the exchange keeps the balances. */
export async function missingFunds(tx: Transaction, networkId: number, claim: Claim): Promise<bigint> {
  const available = await lockFunds(tx, networkId, [claim]);
  if (available === null) return 0n;
  const missing = claim.gives - available(claim);
  return missing > 0n ? missing : 0n;
}

/**
 * What {@link demandWholeBooks} and {@link demandFunds} would say now, by a read that locks nothing and so promises nothing. The account may never have been seen.
 * @returns null: nothing.
 */
export async function foreseeFunds(
  tx: Transaction,
  networkId: number,
  claim: Omit<Claim, 'accountId'>,
  configured: ConfiguredBooks = 'external',
): Promise<InsufficientFundsError | BooksBehindError | null> {
  const { account, instrument, instrumentKey, gives } = claim;
  const { rows } = await sql<{ isBehind: boolean; units: string }>`
    SELECT ${areBooksBehind(sql`${networkId}::smallint`, configured)} AS "isBehind", coalesce((
      SELECT trunc(kept.balance * 10000000000)::text FROM customer_balance AS kept JOIN account ON account.id = kept.account_id
      WHERE account.network_id = ${networkId}::smallint AND account.kind = 'CUSTOMER' AND account.owner = ${account} AND kept.instrument_id = ${instrumentKey}::int
    ), '0') AS units`.execute(tx);
  const [row] = rows;
  if (row?.isBehind === true) return new BooksBehindError();
  if ((await readBooksMode(tx, networkId)) !== 'INTERNAL') return null;
  const available = BigInt(row?.units ?? 0);
  return available >= gives ? null : new InsufficientFundsError([{ account, instrument, available, asked: gives }]);
}

type Place = Pick<Claim, 'accountId' | 'instrumentKey'>;

async function lockFunds(
  tx: Transaction,
  networkId: number,
  places: readonly Place[],
): Promise<((place: Place) => bigint) | null> {
  if (places.length === 0) return null;
  // First the lock that every posting takes, which a switch of the books waits for: what is read of the mode holds until it is booked, and whoever has balances locked never waits for a switch that waits for them.
  await sql`LOCK TABLE posting IN ROW EXCLUSIVE MODE`.execute(tx);
  if ((await readBooksMode(tx, networkId)) !== 'INTERNAL') return null;
  const { rows } = await sql<{ accountId: bigint; instrumentKey: number; units: string }>`
    SELECT account_id AS "accountId", instrument_id AS "instrumentKey", trunc(balance * 10000000000)::text AS units
    FROM lock_customer_balances(
      ${places.map(({ accountId }) => String(accountId))}::bigint[], ${places.map(({ instrumentKey }) => instrumentKey)}::int[]
    )`.execute(tx);
  const units = new Map(rows.map((row) => [keyOf(row), BigInt(row.units)]));
  return (place) => units.get(keyOf(place)) ?? 0n;
}

const keyOf = ({ accountId, instrumentKey }: Place): string => `${accountId}/${instrumentKey}`;
