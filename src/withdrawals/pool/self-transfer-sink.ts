/**
 * How a self-transfer learns that it happened: from the transaction that ingestion stores, inside that transaction. It carries the hash that was signed, or, where the participant tells none, spends exactly
 * what an open attempt was given, to the amount that it was to make of it, also one of which nothing says that it was signed, as in a database that went back: another wallet of the treasury's may do something else with the same holdings, and ours is dead then. The books are the treasury sink's: a merge moves nothing but what was charged for it, and touches no customer.
 */
import { sql } from 'kysely';
import type { Transaction } from '../../db/connection.ts';
import type { Clock, Micros } from '../../env/clock.ts';
import type { EffectSink, TransferChange, Treasury } from '../../ingestion/effect-sink.ts';
import { openFreeze } from '../../ingestion/freezes.ts';
import { settleAttempt } from '../../submissions/attempts.ts';
import { formatAmount } from '../../tokens/amount.ts';

export function createSelfTransferSink({ clock }: { readonly clock: Clock }): EffectSink {
  return {
    name: 'self-transfers',
    apply: async (tx, treasury, changes) => {
      const merges = changes.filter(({ isNew, kind, inputs }) => isNew && kind === 'MERGE' && inputs.length > 0);
      for (const merge of merges) {
        const ours = (await signedFor(tx, merge)) ?? (await spentFor(tx, treasury, merge));
        if (ours !== null) await settle(tx, treasury, ours, merge, clock.nowMicros());
      }
    },
  };
}

type Ours = {
  readonly selfTransferId: string;
  readonly submissionId: string;
  readonly number: number;
  /** It counted as dead, by proof, and committed all the same. */
  readonly isDead: boolean;
};

async function signedFor(tx: Transaction, { signedHash }: TransferChange): Promise<Ours | null> {
  if (signedHash === null || signedHash.length === 0) return null;
  const { rows } = await sql<Ours>`
    SELECT s.self_transfer_id AS "selfTransferId", h.submission_id AS "submissionId", h.number::int AS number,
      a.state IN ('LAPSED', 'GIVEN_UP') AS "isDead"
    FROM signed_hash h JOIN submission s ON s.id = h.submission_id JOIN attempt a ON a.submission_id = h.submission_id AND a.number = h.number
    WHERE h.hash = ${Buffer.from(signedHash)} AND s.self_transfer_id IS NOT NULL`.execute(tx);
  return rows[0] ?? null;
}

async function spentFor(
  tx: Transaction,
  treasury: Treasury,
  { inputs, amount, holdingsDelta }: TransferChange,
): Promise<Ours | null> {
  // Without its terms, all that is known of a movement is what the holdings changed by.
  const hasTerms = amount !== (holdingsDelta < 0n ? -holdingsDelta : holdingsDelta);
  const { rows } = await sql<Ours>`
    SELECT s.self_transfer_id AS "selfTransferId", one.submission_id AS "submissionId", one.number::int AS number, false AS "isDead"
    FROM reservation one JOIN submission s ON s.id = one.submission_id AND s.self_transfer_id IS NOT NULL
    JOIN attempt a ON a.submission_id = one.submission_id AND a.number = one.number
    WHERE one.treasury_id = ${treasury.id} AND one.is_open AND one.contract_id = ${inputs[0] ?? ''}
      AND (NOT ${hasTerms}::boolean OR (a.transfer_object->>'amount')::numeric = ${formatAmount(amount)}::numeric)
      AND (SELECT array_agg(r.contract_id ORDER BY r.contract_id) FROM reservation r WHERE r.submission_id = one.submission_id AND r.number = one.number)
        = (SELECT array_agg(spent ORDER BY spent) FROM unnest(${[...inputs]}::text[]) AS spent)`.execute(tx);
  return rows[0] ?? null;
}

/** Also one that counted as ended: it happened, whatever was believed. Then the proof of its end does not hold, and payments rest on the same one: nothing is paid until somebody has looked. */
async function settle(
  tx: Transaction,
  treasury: Treasury,
  ours: Ours,
  { transferId, updateId }: TransferChange,
  nowMicros: Micros,
): Promise<void> {
  await tx
    .updateTable('self_transfer')
    .set({ state: 'DONE', reason: null, detail: null, update_id: updateId, changed_at: nowMicros })
    .where('id', '=', ours.selfTransferId)
    .where('state', '<>', 'DONE')
    .execute();
  await settleAttempt(tx, ours, nowMicros);
  if (!ours.isDead) return;
  await openFreeze(tx, {
    treasuryId: treasury.id,
    instrumentKey: null,
    reason: 'TRANSFER_NOT_EXPECTED',
    detail: `The transfer ${transferId} is the transfer to ourselves ${ours.selfTransferId}, whose attempt counted as dead.`,
    cause: `update:${updateId}`,
    openedBy: 'self-transfers',
    nowMicros,
  });
}
