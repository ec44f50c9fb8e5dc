/**
 * The movements that the exercises of a transaction explain. Each claim that may be believed takes the holding changes below it which nobody has taken; one
 * that says again what an outer one has said (the old Canton Coin tree repeats the transfer inside itself) finds nothing left.
 *
 * Claims with terms go before labels, wherever they stand: they know who, how much and why of one instrument, where a label around them, of a wallet's batch
 * say, knows only what kind of thing it did.
 */
import type { ExercisedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Amount } from './amount.ts';
import { type Speaker, speaksFor } from './belief.ts';
import { claimOf, type LabelClaim, type TermsClaim } from './exercises.ts';
import { type HoldingChanges, type InstrumentDelta, isSameInstrument } from './holding-changes.ts';
import { type DraftMovement, movementOfHoldings, movementOfTerms } from './movement.ts';
import { failureOf } from './offer-ends.ts';
import type { Offer, Offers } from './offers.ts';

export type Explained = {
  readonly movements: readonly DraftMovement[];
  /** What the holdings lost or gained when an offer of ours was made, by the offer's contract id. */
  readonly pendingDeltas: ReadonlyMap<string, Amount>;
};

/** What claims are read against. */
type Reading = {
  readonly party: string;
  readonly speakerOf: (exercise: ExercisedEvent) => Speaker;
  readonly changes: HoldingChanges;
  /** Made in this transaction. */
  readonly offers: Offers;
  /** False: the offer goes on with the transfer of an earlier one. */
  readonly startsTransfer: (offer: Offer) => boolean;
};

/** @param exercises in pre-order, without those on offers that ended: these have said what they had to say. */
export function takeExplained(exercises: readonly ExercisedEvent[], reading: Reading): Explained {
  const claims = exercises.flatMap((exercise) => {
    const claim = claimOf(exercise);
    return claim === undefined ? [] : [{ exercise, claim }];
  });
  const pendingDeltas = new Map<string, Amount>();
  const byTerms = claims.flatMap(({ exercise, claim }) =>
    isTerms(claim) ? explainByTerms(exercise, claim, reading, pendingDeltas) : [],
  );
  const byLabel = claims.flatMap(({ exercise, claim }) => {
    const movementOf = isTerms(claim) ? null : labelReader(exercise.nodeId, claim, reading.party);
    if (movementOf === null) return [];
    const { nodeId, lastDescendantNodeId } = exercise;
    return reading.changes.takeAll(nodeId, lastDescendantNodeId, reading.speakerOf(exercise)).map(movementOf);
  });
  return { movements: [...byTerms, ...byLabel], pendingDeltas };
}

function isTerms(claim: TermsClaim | LabelClaim): claim is TermsClaim {
  return claim.kind === 'FACTORY' || claim.kind === 'RULE' || claim.kind === 'BURN_MINT';
}

function explainByTerms(
  exercise: ExercisedEvent,
  claim: TermsClaim,
  { party, speakerOf, changes, offers, startsTransfer }: Reading,
  pendingDeltas: Map<string, Amount>,
): readonly DraftMovement[] {
  const { nodeId, lastDescendantNodeId } = exercise;
  const instrument = claim.kind === 'BURN_MINT' ? claim.instrument : claim.transfer.instrument;
  if (!speaksFor(speakerOf(exercise), instrument)) return [];
  const take = () => changes.take(nodeId, lastDescendantNodeId, instrument);
  if (claim.kind === 'BURN_MINT') {
    const delta = take();
    if (delta === undefined) return [];
    return [movementOfHoldings(nodeId, delta > 0n ? 'MINT' : delta < 0n ? 'BURN' : 'MERGE', instrument, delta)];
  }

  const { transfer } = claim;
  if (transfer.sender !== party && transfer.receiver !== party) return []; // Others' transfer: it explains nothing of ours.
  if (claim.kind === 'FACTORY' && claim.output.kind === 'PENDING') {
    const { instruction } = claim.output;
    const offer = instruction === undefined ? undefined : offers.get(instruction);
    // A result may name any offer. Only one of the same instrument, and once, or its tokens would count as the offer's.
    if (offer === undefined || pendingDeltas.has(offer.contractId)) return [];
    if (!isSameInstrument(offer.view.transfer.instrument, instrument)) return [];
    // One that continues an earlier offer starts no transfer that could tell of what went: it stays unexplained.
    if (!startsTransfer(offer)) return [];
    const delta = take();
    if (delta !== undefined) pendingDeltas.set(offer.contractId, delta);
    return [];
  }
  const delta = take();
  if (delta === undefined) return [];
  const movement = movementOfTerms(nodeId, transfer, party, delta);
  return [claim.kind === 'FACTORY' && claim.output.kind === 'FAILED' ? { ...movement, status: 'FAILED' } : movement];
}

/** How a label turns the change of an instrument's holdings into a movement; `null` for labels that say nothing of money. */
function labelReader(
  nodeId: number,
  claim: LabelClaim,
  party: string,
): ((change: InstrumentDelta) => DraftMovement) | null {
  /** The label names the sender alone: of what we sent, the receiver stays unknown. */
  const named = (movement: DraftMovement): DraftMovement => ({
    ...movement,
    memo: claim.memo,
    counterparty: movement.direction === 'IN' && claim.sender !== party ? claim.sender : null,
  });
  if (claim.kind === 'INSTRUCTION') {
    // An offer from before the history we have: what it moved is known, its terms at most from the result.
    const status = claim.output.kind === 'FAILED' ? failureOf(claim.choice) : 'COMPLETED';
    return ({ instrument, delta }) => named({ ...movementOfHoldings(nodeId, 'OFFER', instrument, delta), status });
  }
  switch (claim.txKind) {
    case 'transfer':
      return ({ instrument, delta }) =>
        named(movementOfHoldings(nodeId, delta === 0n ? 'MERGE' : 'DIRECT', instrument, delta));
    case 'mint':
      return ({ instrument, delta }) => movementOfHoldings(nodeId, 'MINT', instrument, delta);
    case 'burn':
    case 'expire-dust':
      return ({ instrument, delta }) => movementOfHoldings(nodeId, 'BURN', instrument, delta);
    case 'merge-split':
      return ({ instrument, delta }) => movementOfHoldings(nodeId, 'MERGE', instrument, delta);
    default:
      // 'unlock' moves nothing; a kind that a later standard adds must not stop the stream.
      return null;
  }
}
