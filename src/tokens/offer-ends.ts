/** How the offers that a transaction consumes ended: by a choice of the standard, told by its result, or in a way that we cannot read. */
import type { ExercisedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import { type Amount, ZERO } from './amount.ts';
import { type Claim, claimOf, type InstructionChoice } from './exercises.ts';
import type { HoldingChanges } from './holding-changes.ts';
import type { FinalStatus } from './movement.ts';
import type { Instrument } from './transfer-record.ts';

export type InstructionEnd = 'ACCEPTED' | 'REJECTED' | 'WITHDRAWN' | 'EXPIRED' | 'REPLACED' | 'FAILED';

/** The end of one offer's contract, and what it means for the transfer. */
export type OfferEnd = {
  readonly contractId: string;
  readonly status: InstructionEnd;
  readonly transferStatus: 'PENDING' | FinalStatus;
  readonly holdingsDelta: Amount;
};

/**
 * Takes, for each offer that is consumed, what the holdings of its instrument gained or lost in the choice that ended it. A choice of V2 does not consume the
 * offer itself: some exercise below it does, and the choice is what speaks.
 * @param exercises in pre-order.
 * @param instrumentOf the instrument of an offer that the party takes part in.
 * @returns in the order of the choices.
 */
export function takeOfferEnds(
  exercises: readonly ExercisedEvent[],
  instrumentOf: (contractId: string) => Instrument | undefined,
  changes: HoldingChanges,
): readonly OfferEnd[] {
  const onOffers = exercises.filter(({ contractId }) => instrumentOf(contractId) !== undefined);
  const consumedAt = new Map(
    onOffers.flatMap(({ consuming, contractId, nodeId }) => (consuming ? [[contractId, nodeId]] : [])),
  );
  const ended = new Set<string>();
  return onOffers.flatMap((exercise) => {
    const { contractId, nodeId, lastDescendantNodeId } = exercise;
    const instrument = instrumentOf(contractId);
    const at = consumedAt.get(contractId);
    if (instrument === undefined || at === undefined || ended.has(contractId)) return [];
    const claim = claimOf(exercise);
    const isTheEnd = at === nodeId || (claim?.kind === 'INSTRUCTION' && nodeId < at && at <= lastDescendantNodeId);
    if (!isTheEnd) return [];
    ended.add(contractId);
    const holdingsDelta = changes.take(nodeId, lastDescendantNodeId, instrument) ?? ZERO;
    return [{ contractId, holdingsDelta, ...outcomeOf(claim) }];
  });
}

function outcomeOf(claim: Claim | undefined): Pick<OfferEnd, 'status' | 'transferStatus'> {
  if (claim?.kind !== 'INSTRUCTION') return { status: 'FAILED', transferStatus: 'FAILED' };
  switch (claim.output.kind) {
    case 'PENDING':
      return { status: 'REPLACED', transferStatus: 'PENDING' };
    case 'COMPLETED':
      return { status: 'ACCEPTED', transferStatus: 'COMPLETED' };
    case 'FAILED':
      return { status: failureOf(claim.choice), transferStatus: failureOf(claim.choice) };
  }
}

/** What a choice means that brought nobody the money. */
export function failureOf(choice: InstructionChoice): InstructionEnd & FinalStatus {
  switch (choice) {
    case 'REJECT':
      return 'REJECTED';
    case 'WITHDRAW':
      return 'WITHDRAWN';
    case 'UPDATE':
      return 'EXPIRED';
    case 'ACCEPT':
      return 'FAILED';
  }
}
