/** What the database says of a withdrawal that nobody has asked for yet, in one snapshot: by the same rules that take a request and open an attempt. */
import { sql } from 'kysely';
import type { ConfiguredBooks } from '../books/books-mode.ts';
import { foreseeFunds } from '../books/customer-funds.ts';
import type { Database, Transaction } from '../db/connection.ts';
import { isRestoring } from '../db/database-restore.ts';
import type { Micros } from '../env/clock.ts';
import { isFrozen } from '../ingestion/freezes.ts';
import { homeSynchronizerOf } from '../ingestion/home-synchronizer.ts';
import { lookAhead } from '../policy/judging.ts';
import { readTokens, type Token } from '../read/tokens.ts';
import type { TreasuryParty } from '../read/treasury-parties.ts';
import { isHalted } from '../submissions/halts.ts';
import { readTrafficLeft, type TrafficLeft } from '../submissions/traffic-readings.ts';
import { parseAmount } from '../tokens/amount.ts';
import { IS_FREE, reachOf } from '../withdrawals/free-holdings.ts';
import { demandWellFormed, findTarget, WithdrawalRefusal } from '../withdrawals/withdrawal-requests.ts';
import type { PreflightRequest, PreflightVerdict, TreasuryFunds } from './preflight-report.ts';

export type StoredFacts = {
  /** Why the request would be refused; null: it would be taken. */
  readonly refusal: { readonly code: string; readonly message: string } | null;
  readonly paying: PayingTreasury | null;
  /** What the policy in force says; null: it is not asked, as for a customer. */
  readonly verdict: PreflightVerdict | null;
  /** What the token directory has; null: nobody decided about the instrument. */
  readonly token: Token | null;
  /** The paying treasury's first, then the others', by party. None for a customer. */
  readonly funds: readonly (Omit<TreasuryFunds, 'outcome'> & { readonly isPaying: boolean })[];
  /** One per participant whose traffic was ever read. */
  readonly traffic: readonly TrafficLeft[];
};

export type PayingTreasury = TreasuryParty & {
  readonly id: number;
  readonly instrumentKey: number;
  /** The database went back in time, and what it lost may still be paid. */
  readonly isRestoring: boolean;
  readonly isHalted: boolean;
  readonly isFrozen: boolean;
  readonly isStreaming: boolean;
  readonly recordTime: Micros | null;
  /** Some that would be spent, for whoever must be asked with inputs. Contract ids. */
  readonly inputs: readonly string[];
};

const INPUTS_SHOWN = 20; // A registry answers for a receiver, not for inputs; a few of them stand for all.
const IDEMPOTENCY_KEY = 'preflight'; // Any that is well-formed: nothing is stored under it.
const SMALLEST = parseAmount('0.0000000001'); // Who would pay that does not tell how much he has.

/** Reads only. @throws RetryableError when the database is away. */
export async function readStoredFacts(
  db: Database,
  network: string,
  request: PreflightRequest,
  { nowMicros, books }: { readonly nowMicros: Micros; readonly books: ConfiguredBooks },
): Promise<StoredFacts> {
  return await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (tx) => await factsOf(tx, network, request, nowMicros, books));
}

async function factsOf(
  tx: Transaction,
  network: string,
  request: PreflightRequest,
  nowMicros: Micros,
  books: ConfiguredBooks,
): Promise<StoredFacts> {
  const [token = null] = await readTokens(tx, [
    { network, admin: request.instrument.admin, instrumentId: request.instrument.id },
  ]);
  const { isForCustomer = false } = request;
  try {
    const asked = { ...request, idempotencyKey: IDEMPOTENCY_KEY };
    demandWellFormed(asked);
    const target = await findTarget(tx, network, isForCustomer ? { ...asked, amount: SMALLEST } : asked);
    const whole = { ...asked, treasuryParty: target.treasuryParty };
    const { networkId, treasuryId, instrumentKey } = target;
    const { account, instrument, amount: gives } = request;
    // Of his own account a customer may know everything.
    const short = await foreseeFunds(tx, networkId, { account, instrument, instrumentKey, gives }, books);
    if (short !== null) return refusedBecause(short, token);
    return {
      refusal: null,
      paying: await payingTreasury(tx, treasuryId, instrumentKey),
      verdict: isForCustomer ? null : await verdictOf(tx, whole, target, nowMicros),
      token,
      funds: isForCustomer ? [] : await fundsOf(tx, network, treasuryId, instrumentKey),
      traffic: await readTrafficLeft(tx, networkId),
    };
  } catch (error) {
    if (!(error instanceof WithdrawalRefusal)) throw error;
    return refusedBecause(error, token);
  }
}

function refusedBecause(
  { code, message }: { readonly code: string; readonly message: string },
  token: Token | null,
): StoredFacts {
  return { refusal: { code, message }, paying: null, verdict: null, token, funds: [], traffic: [] };
}

const NO_ACCOUNT = 0n; // Numbers begin at 1: an account that was never seen has nothing to be counted.

async function verdictOf(
  tx: Transaction,
  request: PreflightRequest & { readonly treasuryParty: string },
  target: { readonly networkId: number; readonly treasuryId: number; readonly instrumentKey: number },
  nowMicros: Micros,
): Promise<PreflightVerdict> {
  const { account, client, receiver, treasuryParty, instrument, amount } = request;
  const { networkId, treasuryId, instrumentKey } = target;
  const known = await tx
    .selectFrom('account')
    .select('id')
    .where('network_id', '=', networkId)
    .where('kind', '=', 'CUSTOMER')
    .where('owner', '=', account)
    .executeTakeFirst();
  const subject = { accountId: known?.id ?? NO_ACCOUNT, receiver, client, treasuryId, instrumentKey };
  const facts = { account, client, receiver, treasuryParty, instrument, amount };
  const { policyVersion, verdict } = await lookAhead(tx, { networkId, facts, subject }, nowMicros);
  const { kind, approvalsNeeded, needsScreening, reasons } = verdict;
  return { kind, approvalsNeeded, needsScreening, policyVersion, reasons };
}

async function payingTreasury(tx: Transaction, treasuryId: number, instrumentKey: number): Promise<PayingTreasury> {
  const { rows } = await sql<PayingTreasury>`
    SELECT treasury_party.id, network.name AS network, treasury_party.party, treasury_party.name,
      ${instrumentKey}::int AS "instrumentKey",
      ${isRestoring(sql`treasury_party.id`)} AS "isRestoring",
      ${isHalted(sql`treasury_party.id`, sql`${instrumentKey}::int`)} AS "isHalted",
      ${isFrozen(sql`treasury_party.id`, sql`${instrumentKey}::int`)} AS "isFrozen",
      ingestion_stream.status IS NOT DISTINCT FROM 'RUNNING' AS "isStreaming", ledger.record_time AS "recordTime",
      ARRAY(
        SELECT holding.contract_id FROM holding
        WHERE holding.treasury_id = treasury_party.id AND holding.instrument_id = ${instrumentKey}::int AND ${IS_FREE}
        ORDER BY holding.amount DESC, holding.contract_id LIMIT ${sql.lit(INPUTS_SHOWN)}
      ) AS inputs
    FROM treasury_party
    JOIN network ON network.id = treasury_party.network_id
    LEFT JOIN ingestion_stream ON ingestion_stream.treasury_id = treasury_party.id
    LEFT JOIN synchronizer_time AS ledger ON ledger.treasury_id = treasury_party.id
      AND ledger.synchronizer_id = ${homeSynchronizerOf(sql`treasury_party.id`)}
    WHERE treasury_party.id = ${treasuryId}`.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new WithdrawalRefusal('TREASURY_UNKNOWN', 'No such treasury party is served here.');
  return row;
}

async function fundsOf(
  tx: Transaction,
  network: string,
  treasuryId: number,
  instrumentKey: number,
): Promise<StoredFacts['funds']> {
  const instrument = sql`${instrumentKey}::int`;
  const { rows } = await sql<
    TreasuryParty & { reach: string; free: string; total: string; queued: string; isPaying: boolean }
  >`
    SELECT network.name AS network, treasury_party.party, treasury_party.name,
      ${reachOf(sql`treasury_party.id`, instrument)}::text AS reach,
      (SELECT coalesce(sum(holding.amount::numeric) FILTER (WHERE ${IS_FREE}), 0)::text FROM holding
       WHERE holding.treasury_id = treasury_party.id AND holding.instrument_id = ${instrument} AND holding.archived_update_id IS NULL) AS free,
      (SELECT coalesce(sum(holding.amount::numeric), 0)::text FROM holding
       WHERE holding.treasury_id = treasury_party.id AND holding.instrument_id = ${instrument} AND holding.archived_update_id IS NULL) AS total,
      (SELECT coalesce(sum(withdrawal.amount::numeric), 0)::text FROM withdrawal
       WHERE withdrawal.treasury_id = treasury_party.id AND withdrawal.instrument_id = ${instrument} AND withdrawal.state = 'QUEUED') AS queued,
      treasury_party.id = ${treasuryId}::int AS "isPaying"
    FROM treasury_party JOIN network ON network.id = treasury_party.network_id
    WHERE network.name = ${network}
    ORDER BY treasury_party.id <> ${treasuryId}::int, treasury_party.party`.execute(tx);
  return rows.map(({ network: of, party, name, ...funds }) => ({ treasury: { network: of, party, name }, ...funds }));
}
