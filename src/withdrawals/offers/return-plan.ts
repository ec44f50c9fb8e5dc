/** What a try exercises: the standard's withdrawal of exactly the offer that the attempt reserved, with the context that its registry gives for it. */
import { sql } from 'kysely';
import { OFFER_CHOICES, offerArgument } from '../../custody/offer-argument.ts';
import type { OfferIntent } from '../../custody/offer-intent.ts';
import type { RegistryImplementation } from '../../custody/transfer-intent.ts';
import type { Database } from '../../db/connection.ts';
import { assert, RetryableError } from '../../env/errors.ts';
import type { DisclosedContract } from '../../gen/com/daml/ledger/api/v2/commands.ts';
import type { Value } from '../../gen/com/daml/ledger/api/v2/value.ts';
import type { OpenAttempt } from '../../submissions/attempts.ts';
import type { Plan, Planner } from '../../submissions/submission-plan.ts';
import { parseAmount } from '../../tokens/amount.ts';
import { interfaceReference, TRANSFER_INSTRUCTION_V1 } from '../../tokens/standard.ts';
import { type Instrument, transferOfJson } from '../../tokens/transfer-record.ts';

/** What a token's registry says of an offer that is about to end. */
export type ReturnRegistry = {
  /** @throws RetryableError, PermanentError; the ledger is untouched. */
  instructionContext(
    instrument: Instrument,
    instructionId: string,
    choice: 'withdraw',
  ): Promise<{
    readonly choiceContext: ReadonlyMap<string, Value>;
    readonly disclosedContracts: readonly DisclosedContract[];
  }>;
};

export type ReturnPlanOptions = {
  readonly db: Database;
  readonly registry: ReturnRegistry;
  readonly implementationOf: (instrument: Instrument) => RegistryImplementation;
};

export function planReturns({ db, registry, implementationOf }: ReturnPlanOptions): Planner {
  return async (attempt): Promise<Plan> => {
    const [input] = attempt.inputs;
    assert(input !== undefined && attempt.inputs.length === 1, 'An attempt on other than one offer.', {
      submissionId: attempt.submissionId,
    });
    const locked = await lockedBy(db, attempt.subjectId, input.contractId);
    if (locked === null)
      throw new RetryableError('OFFER_NOT_OPEN', 'The offer has ended; what became of it will be seen.');
    const context = await registry.instructionContext(attempt.instrument, input.contractId, 'withdraw');
    const intent = intentOf(attempt, {
      offer: input.contractId,
      locked,
      implementation: implementationOf(attempt.instrument),
      choiceContext: context.choiceContext,
    });
    return {
      kind: 'EXERCISE',
      intent,
      contractId: input.contractId,
      interfaceId: interfaceReference(TRANSFER_INSTRUCTION_V1),
      choice: OFFER_CHOICES[intent.kind],
      argument: offerArgument(intent),
      disclosedContracts: context.disclosedContracts,
    };
  };
}

/**
 * The holdings of ours that an offer locks: what it names, as far as it is there. Where it names none that its transaction made (a registry may leave the inputs in it that are spent), what the same transaction
 * locked of ours with the offer's amount, if that is one.
 * @returns null where the offer has ended.
 */
async function lockedBy(db: Database, withdrawalId: string, contractId: string): Promise<OfferIntent['locked'] | null> {
  const { rows } = await sql<{ locked: { contractId: string; amount: string }[] }>`
    SELECT coalesce(named.locked, CASE WHEN named.made = 0 AND json_array_length(beside.locked) = 1 THEN beside.locked END, '[]') AS locked
    FROM withdrawal w
    JOIN transfer_instruction i ON i.treasury_id = w.treasury_id AND i.contract_id = ${contractId} AND i.transfer_id = w.transfer_id
      AND i.direction = 'OUT' AND i.ended_update_id IS NULL
    JOIN transfer t ON t.id = w.transfer_id
    CROSS JOIN LATERAL (
      SELECT json_agg(json_build_object('contractId', h.contract_id, 'amount', h.amount::text) ORDER BY h.contract_id)
               FILTER (WHERE h.archived_update_id IS NULL) AS locked,
             count(*) FILTER (WHERE h.lock_holders IS NOT NULL) AS made
      FROM holding h
      WHERE h.treasury_id = w.treasury_id AND h.instrument_id = w.instrument_id
        AND h.contract_id IN (SELECT jsonb_array_elements_text(t.transfer_object->'inputHoldingCids'))
    ) AS named
    CROSS JOIN LATERAL (
      SELECT coalesce(json_agg(json_build_object('contractId', h.contract_id, 'amount', h.amount::text)), '[]') AS locked FROM holding h
      WHERE h.treasury_id = w.treasury_id AND h.instrument_id = w.instrument_id AND h.created_update_id = i.created_update_id
        AND h.archived_update_id IS NULL AND h.lock_holders IS NOT NULL AND h.amount::numeric = w.amount::numeric
    ) AS beside
    WHERE w.id = ${withdrawalId} AND w.state = 'OFFERED'`.execute(db);
  const [row] = rows;
  return row === undefined
    ? null
    : row.locked.map((each) => ({ contractId: each.contractId, amount: parseAmount(each.amount) }));
}

function intentOf(
  attempt: OpenAttempt,
  end: Pick<OfferIntent, 'offer' | 'locked' | 'implementation' | 'choiceContext'>,
): OfferIntent {
  const { sender, receiver, instrument, amount, meta, requestedAt, executeBefore, inputHoldings } = transferOfJson(
    attempt.transfer,
  );
  assert(sender === attempt.treasuryParty, 'An offer of somebody else.', { submissionId: attempt.submissionId });
  return {
    kind: 'WITHDRAW',
    ...end,
    sender,
    receiver,
    instrument,
    amount,
    meta,
    requestedAt,
    executeBefore,
    inputHoldings,
    commandId: `${attempt.submissionId}-${attempt.number}`,
    synchronizerId: attempt.synchronizerId,
    physicalSynchronizerId: null,
    maxRecordTime: attempt.target,
  };
}
