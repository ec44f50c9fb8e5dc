/** What a try exercises: the standard's choice on exactly the offer that the attempt reserved, with the context that its registry gives for it. */
import { sql } from 'kysely';
import { OFFER_CHOICES, offerArgument } from '../../custody/offer-argument.ts';
import type { OfferIntent } from '../../custody/offer-intent.ts';
import type { RegistryImplementation } from '../../custody/transfer-intent.ts';
import type { Database } from '../../db/connection.ts';
import type { Clock } from '../../env/clock.ts';
import { assert, RetryableError } from '../../env/errors.ts';
import type { DisclosedContract } from '../../gen/com/daml/ledger/api/v2/commands.ts';
import type { Value } from '../../gen/com/daml/ledger/api/v2/value.ts';
import type { OpenAttempt } from '../../submissions/attempts.ts';
import type { Plan, Planner } from '../../submissions/submission-plan.ts';
import { interfaceReference, TRANSFER_INSTRUCTION_V1 } from '../../tokens/standard.ts';
import { type Instrument, transferOfJson } from '../../tokens/transfer-record.ts';
import type { OfferChoice } from './offer-action-id.ts';
import { mayBeAccepted, OFFER_FACTS } from './offer-gate.ts';
import type { OfferRules } from './offer-rules.ts';
import { type Spender, spendTry } from './offer-spending.ts';

/** What a token's registry says of an offer that is about to end. */
export type OfferRegistry = {
  /** @throws RetryableError, PermanentError; the ledger is untouched. */
  instructionContext(
    instrument: Instrument,
    instructionId: string,
    choice: 'accept' | 'reject',
  ): Promise<{
    readonly choiceContext: ReadonlyMap<string, Value>;
    readonly disclosedContracts: readonly DisclosedContract[];
  }>;
};

export type OfferPlanOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly registry: OfferRegistry;
  readonly implementationOf: (instrument: Instrument) => RegistryImplementation;
  readonly rules: OfferRules;
};

export function planOffers(options: OfferPlanOptions): Planner {
  const { db, clock, registry, implementationOf, rules } = options;
  return async (attempt): Promise<Plan> => {
    const [input] = attempt.inputs;
    assert(input !== undefined && attempt.inputs.length === 1, 'An attempt on other than one offer.', {
      submissionId: attempt.submissionId,
    });
    const offer = await readOffer(db, attempt.subjectId, input.contractId, rules);
    if (offer === null) throw new RetryableError('OFFER_NOT_OPEN', 'The offer has ended, or may not be accepted now.');
    // The first try was paid for when the attempt was opened.
    if (attempt.isSignatureRequested) {
      const isPaid = await db
        .transaction()
        .execute(async (tx) => await spendTry(tx, offer, rules.budget, clock.nowMicros()));
      if (!isPaid) throw new RetryableError('BUDGET_USED_UP', 'No more tries in this hour.');
    }
    const choice = offer.choice === 'ACCEPT' ? 'accept' : 'reject';
    const context = await registry.instructionContext(attempt.instrument, input.contractId, choice);
    const intent = intentOf(attempt, {
      kind: offer.choice,
      offer: input.contractId,
      implementation: implementationOf(attempt.instrument),
      choiceContext: context.choiceContext,
    });
    return {
      kind: 'EXERCISE',
      intent,
      contractId: input.contractId,
      interfaceId: interfaceReference(TRANSFER_INSTRUCTION_V1),
      choice: OFFER_CHOICES[offer.choice],
      argument: offerArgument(intent),
      disclosedContracts: context.disclosedContracts,
    };
  };
}

async function readOffer(
  db: Database,
  actionId: string,
  contractId: string,
  rules: OfferRules,
): Promise<(Spender & { readonly choice: OfferChoice }) | null> {
  const { rows } = await sql<Spender & { readonly choice: OfferChoice }>`
    SELECT a.choice, a.treasury_id AS "treasuryId", a.instrument_id AS "instrumentKey", a.deposit_account_id AS "depositAccountId", a.sender
    FROM offer_action a
    JOIN transfer_instruction i ON i.treasury_id = a.treasury_id AND i.contract_id = ${contractId} AND i.transfer_id = a.transfer_id
      AND i.ended_update_id IS NULL
    ${OFFER_FACTS}
    WHERE a.id = ${actionId} AND (a.choice = 'REJECT' OR ${mayBeAccepted(rules)})`.execute(db);
  return rows[0] ?? null;
}

function intentOf(
  attempt: OpenAttempt,
  end: Pick<OfferIntent, 'kind' | 'offer' | 'implementation' | 'choiceContext'>,
): OfferIntent {
  const { sender, receiver, instrument, amount, meta, requestedAt, executeBefore, inputHoldings } = transferOfJson(
    attempt.transfer,
  );
  assert(receiver === attempt.treasuryParty, 'An offer to somebody else.', { submissionId: attempt.submissionId });
  return {
    ...end,
    sender,
    receiver,
    instrument,
    amount,
    meta,
    requestedAt,
    executeBefore,
    inputHoldings,
    locked: [],
    commandId: `${attempt.submissionId}-${attempt.number}`,
    synchronizerId: attempt.synchronizerId,
    physicalSynchronizerId: null,
    maxRecordTime: attempt.target,
  };
}
