/**
 * Opening attempts: queued withdrawals get inputs, reserved for them alone, and a target record time. From here on both are fixed.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { insertAttempt } from '../submissions/attempt-opening.ts';
import type { AttemptLimits } from '../submissions/attempts.ts';
import { isolated, type OnRefused, throwRefused } from '../submissions/isolated.ts';
import { positionClock } from '../submissions/position-clock.ts';
import { formatAmount, parseAmount } from '../tokens/amount.ts';
import { META_REASON } from '../tokens/standard.ts';
import type { TransferJson } from '../tokens/transfer-record.ts';
import { IS_FREE, reachOf } from './free-holdings.ts';
import { INPUTS_MAX, type SpendableHolding, selectInputs } from './input-selection.ts';
import { IS_PAYABLE } from './payable.ts';
import { applyWithdrawalEvent } from './withdrawal-store.ts';

/** Our own metadata key: the withdrawal's id travels with the transfer. */
export const META_WITHDRAWAL = 'sluice.dev/withdrawal-id';

const FUND_BATCH_MAX = 20;
const CANDIDATES_MAX = 1_000; // Holdings looked at per withdrawal; ten times what one transaction takes.
const REQUESTED_BEFORE_MS = 60_000; // A transfer must have been requested in the past, by the ledger's clock, not ours.

/**
 * Opens attempts for queued withdrawals, oldest first, as far as funds go.
 * @param onRefused what to do where one cannot be written; the others are. Default: throw.
 * @returns how many were opened. One runner per treasury at a time (row lock), any number of processes.
 */
export async function openAttempts(
  db: Database,
  treasuryId: number,
  limits: AttemptLimits,
  nowMicros: Micros,
  onRefused: OnRefused = throwRefused,
): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const treasury = await tx
      .selectFrom('treasury_party')
      .selectAll()
      .where('id', '=', treasuryId)
      .forNoKeyUpdate()
      .executeTakeFirstOrThrow();
    const clock = await positionClock(tx, treasuryId, limits, nowMicros);
    if (clock === null) return 0;
    const queued = await takeFundable(tx, treasuryId);
    let opened = 0;
    for (const withdrawal of queued) {
      const submissionId = `sb_${withdrawal.id.slice(3)}`;
      const earlier = await earlierInputs(tx, submissionId);
      const holdings = await spendable(tx, treasuryId, withdrawal.instrument_id, earlier.flat());
      const selection = selectInputs(parseAmount(withdrawal.amount), holdings, earlier);
      if (selection.kind === 'INSUFFICIENT') continue;
      const target = clock.recordTime + millisToMicros(limits.ttlMs);
      const meta = { [META_REASON]: withdrawal.memo ?? withdrawal.id, [META_WITHDRAWAL]: withdrawal.id };
      const transfer: TransferJson = {
        sender: treasury.party,
        receiver: withdrawal.receiver,
        amount: formatAmount(parseAmount(withdrawal.amount)),
        instrumentId: { admin: withdrawal.admin, id: withdrawal.instrumentName },
        requestedAt: (clock.recordTime - millisToMicros(REQUESTED_BEFORE_MS)).toString(),
        executeBefore: (target + millisToMicros(limits.ttlMs)).toString(),
        inputHoldingCids: selection.inputs.map(({ contractId }) => contractId),
        meta: { values: meta },
      };
      const refused = await isolated(tx, async () => {
        await insertAttempt(tx, {
          submissionId,
          purpose: { purpose: 'WITHDRAWAL', withdrawal_id: withdrawal.id },
          treasuryId,
          instrumentKey: withdrawal.instrument_id,
          clock,
          target,
          transfer,
          inputs: transfer.inputHoldingCids,
          nowMicros,
        });
        await applyWithdrawalEvent(tx, withdrawal.id, { kind: 'ATTEMPT_OPENED' }, { nowMicros });
      });
      if (refused === null) opened += 1;
      else await onRefused(withdrawal.id, refused);
    }
    return opened;
  });
}

type QueuedWithdrawal = {
  readonly id: string;
  readonly receiver: string;
  readonly amount: string;
  readonly memo: string | null;
  readonly instrument_id: number;
  readonly admin: string;
  readonly instrumentName: string;
};

/**
 * Locks queued withdrawals, oldest first, that are within reach of the treasury's free holdings. The others are left out before the limit and not
 * after it: however many ask for more than there is, or for an instrument that ran out, they stand in nobody's way. Nor is one taken that may not be paid.
 */
async function takeFundable(tx: Transaction, treasuryId: number): Promise<readonly QueuedWithdrawal[]> {
  const { rows } = await sql<QueuedWithdrawal>`
    SELECT w.id, w.receiver, w.amount, w.memo, w.instrument_id, i.admin, i.instrument_id AS "instrumentName"
    FROM withdrawal w
    JOIN instrument i ON i.id = w.instrument_id
    JOIN (
      SELECT wanted.instrument_id, ${reachOf(sql`${treasuryId}::int`, sql`wanted.instrument_id`)} AS amount
      FROM (SELECT DISTINCT instrument_id FROM withdrawal WHERE treasury_id = ${treasuryId} AND state = 'QUEUED') AS wanted
    ) AS reach ON reach.instrument_id = w.instrument_id AND reach.amount >= w.amount
    WHERE w.treasury_id = ${treasuryId} AND w.state = 'QUEUED' AND ${IS_PAYABLE}
    ORDER BY w.created_at, w.id
    LIMIT ${FUND_BATCH_MAX}
    FOR UPDATE OF w SKIP LOCKED`.execute(tx);
  return rows;
}

/**
 * The smallest free holdings, the largest that one transaction takes, and those an earlier attempt was given: what {@link selectInputs} chooses
 * from. The smallest alone would let dust hide the rest.
 */
async function spendable(
  tx: Transaction,
  treasuryId: number,
  instrumentKey: number,
  earlier: readonly string[],
): Promise<SpendableHolding[]> {
  const free = sql`
    SELECT contract_id, amount FROM holding
    WHERE holding.treasury_id = ${treasuryId} AND holding.instrument_id = ${instrumentKey} AND ${IS_FREE}`;
  const { rows } = await sql<{ contractId: string; amount: string }>`
    SELECT contract_id AS "contractId", amount::text AS amount FROM (
      (${free} ORDER BY amount, contract_id LIMIT ${CANDIDATES_MAX - INPUTS_MAX})
      UNION (${free} ORDER BY amount DESC, contract_id LIMIT ${INPUTS_MAX})
      UNION (${free} AND contract_id = ANY (${[...earlier]}::text[]))
    ) AS candidate
    ORDER BY candidate.amount, candidate.contract_id`.execute(tx);
  return rows.map(({ contractId, amount }) => ({ contractId, amount: parseAmount(amount) }));
}

/** Per earlier attempt for which a signature may exist, its inputs that the ledger has not spent; attempts without such are left out. */
async function earlierInputs(tx: Transaction, submissionId: string): Promise<string[][]> {
  const { rows } = await sql<{ inputs: string[] }>`
    SELECT array_agg(r.contract_id) AS inputs
    FROM attempt a
    JOIN reservation r ON r.submission_id = a.submission_id AND r.number = a.number
    JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id AND h.archived_update_id IS NULL
    WHERE a.submission_id = ${submissionId} AND a.sign_requested_at IS NOT NULL
    GROUP BY a.number`.execute(tx);
  return rows.map(({ inputs }) => inputs);
}
