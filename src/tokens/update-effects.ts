/**
 * What one transaction, as one treasury party sees it, means in money. Pure: the same transaction and the same knowledge give the same
 * effects, on any participant and at any rebuild.
 *
 * Two sources are kept apart. *How much* moved is read from holdings alone (`holding-changes.ts`): contracts with a Holding view that the
 * instrument's admin signed and the party owns, created and consumed. *What it was* (a deposit, by whom, with which memo) is read from the
 * exercises around them, and only from those that can be believed. So whatever a hostile transaction claims of itself, the sum of all movements
 * equals the change of the holdings: what no believed claim explains becomes a movement of its own, `UNEXPLAINED`.
 *
 * Exercises are read in pre-order, after the ends of offers, whose terms are known. One that is believed takes the changes of its subtree; a nested
 * one that says the same again (the old Canton Coin tree repeats the transfer inside itself) finds nothing left, and so nothing counts twice.
 */
import type { Event, ExercisedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import type { Transaction } from '../gen/com/daml/ledger/api/v2/transaction.ts';
import { type Amount, amountOf, ZERO } from './amount.ts';
import { type Claim, claimOf, isPinned } from './exercises.ts';
import {
  type Anomaly,
  type HoldingChanges,
  type HoldingCreated,
  holdingChanges,
  isSameInstrument,
  type KnownHolding,
} from './holding-changes.ts';
import { transferId } from './ids.ts';
import { type Offers, offersIn, originOf } from './offers.ts';
import { META_REASON } from './standard.ts';
import type { Instrument, TransferRecord } from './transfer-record.ts';

export type Direction = 'IN' | 'OUT' | 'SELF';
export type TransferKind = 'DIRECT' | 'OFFER' | 'MERGE' | 'MINT' | 'BURN' | 'UNEXPLAINED' | 'OPENING';
export type FinalStatus = 'COMPLETED' | 'REJECTED' | 'WITHDRAWN' | 'EXPIRED' | 'FAILED';
export type InstructionEnd = 'ACCEPTED' | 'REJECTED' | 'WITHDRAWN' | 'EXPIRED' | 'REPLACED' | 'FAILED';

/** An offer of an earlier update that the party takes part in, open or ended. */
export type KnownInstruction = { readonly transferId: string; readonly instrument: Instrument };

/** What must be known of earlier updates to read the next one. */
export type Known = {
  holding(contractId: string): KnownHolding | undefined;
  instruction(contractId: string): KnownInstruction | undefined;
};

/** A transfer seen for the first time. `rank` counts the party's movements in the update, in pre-order from 0. */
export type Movement = {
  readonly id: string;
  readonly rank: number;
  readonly kind: TransferKind;
  readonly direction: Direction;
  readonly status: 'PENDING' | FinalStatus;
  readonly instrument: Instrument;
  /** Never negative. */
  readonly amount: Amount;
  /** What the party's holdings gained by it in this update; negative where they lost. */
  readonly holdingsDelta: Amount;
  readonly counterparty: string | null;
  readonly memo: string | null;
  readonly transfer: TransferRecord | null;
};

/** What became of a transfer that was pending: its end, or (still PENDING) a further step of it. */
export type Progress = {
  readonly transferId: string;
  readonly status: 'PENDING' | FinalStatus;
  /** What the party's holdings gained by it in this update. */
  readonly holdingsDelta: Amount;
};

export type InstructionOpened = {
  readonly contractId: string;
  readonly originalContractId: string;
  readonly transferId: string;
  readonly direction: Direction;
  readonly transfer: TransferRecord;
};

export type InstructionEnded = { readonly contractId: string; readonly status: InstructionEnd };

export type UpdateEffects = {
  readonly holdingsCreated: readonly HoldingCreated[];
  /** Contract ids: holdings of earlier updates and ones created in this very update. */
  readonly holdingsArchived: readonly string[];
  readonly movements: readonly Movement[];
  readonly progress: readonly Progress[];
  readonly instructionsOpened: readonly InstructionOpened[];
  readonly instructionsEnded: readonly InstructionEnded[];
  readonly anomalies: readonly Anomaly[];
};

type DraftMovement = Omit<Movement, 'id' | 'rank'> & { readonly nodeId: number; readonly instruction?: string };
type Ending = InstructionEnded & { readonly transferStatus: 'PENDING' | FinalStatus; readonly holdingsDelta: Amount };

/**
 * @param transaction as received: LEDGER_EFFECTS shape, the party's wildcard, the interface views of the standard, verbose.
 * @param party whose effects are asked for; what other parties own in the same tree is ignored.
 * @throws DecodeError when a contract that the party itself signed cannot be read: then its balance is in doubt.
 */
export function effectsOf(transaction: Transaction, party: string, known: Known): UpdateEffects {
  const events = [...transaction.events].sort((left, right) => nodeIdOf(left) - nodeIdOf(right));
  const anomalies: Anomaly[] = [];
  const report = (anomaly: Anomaly) => void anomalies.push(anomaly);
  const changes = holdingChanges(events, party, (contractId) => known.holding(contractId), report);
  const offers = offersIn(events, party, report);

  const read = readExercises(events, party, changes, offers, known);
  const movements = [
    ...read.movements,
    ...newOffers(offers, party, known, read.pendingDeltas),
    ...changes.untaken().map(unexplained),
  ]
    .sort((left, right) => left.nodeId - right.nodeId)
    .map((draft, rank) => ({ ...draft, rank, id: transferId(party, transaction.updateId, rank) }));

  const started = new Map(movements.flatMap(({ instruction, id }) => (instruction ? [[instruction, id]] : [])));
  const transferOf = (contractId: string): string | undefined =>
    started.get(contractId) ?? known.instruction(contractId)?.transferId;
  // In pre-order, so that the origin of a successor has its transfer already.
  for (const offer of offers.values()) {
    const origin = originOf(offer, offers, known.instruction);
    const continued = origin === null ? undefined : transferOf(origin);
    if (continued !== undefined) started.set(offer.contractId, continued);
  }
  return {
    holdingsCreated: changes.created,
    holdingsArchived: changes.archived,
    movements: movements.map(({ nodeId: _nodeId, instruction: _instruction, ...movement }) => movement),
    progress: read.endings.flatMap(({ contractId, transferStatus, holdingsDelta }) => {
      const id = transferOf(contractId);
      return id === undefined ? [] : [{ transferId: id, status: transferStatus, holdingsDelta }];
    }),
    instructionsOpened: [...offers.values()].flatMap((offer) => {
      const { contractId, view } = offer;
      const id = transferOf(contractId);
      if (id === undefined) return [];
      return [
        {
          contractId,
          originalContractId: originOf(offer, offers, known.instruction) ?? contractId,
          transferId: id,
          direction: directionOf(view.transfer, party),
          transfer: view.transfer,
        },
      ];
    }),
    instructionsEnded: read.endings.map(({ contractId, status }) => ({ contractId, status })),
    anomalies,
  };
}

/** Walks the exercises and lets each believed claim take the holding changes of its subtree. */
function readExercises(
  events: readonly Event[],
  party: string,
  changes: HoldingChanges,
  offers: Offers,
  known: Known,
): {
  movements: DraftMovement[];
  endings: Ending[];
  /** What the holdings lost or gained when an offer of ours was made, by the offer's contract id. */
  pendingDeltas: Map<string, Amount>;
} {
  const movements: DraftMovement[] = [];
  const endings: Ending[] = [];
  const exercises = exercisedIn(events);
  const pendingDeltas = new Map<string, Amount>();
  const instrumentOfOffer = (contractId: string): Instrument | undefined =>
    known.instruction(contractId)?.instrument ?? offers.get(contractId)?.view.transfer.instrument;
  // Ends first: the terms of an offer are the admin's word, and a wrapper around its acceptance must not take the money for another memo.
  for (const exercise of exercises) {
    const offered = exercise.consuming ? instrumentOfOffer(exercise.contractId) : undefined;
    if (offered === undefined) continue;
    endings.push(endingOf(exercise, changes.take(exercise.nodeId, exercise.lastDescendantNodeId, offered)));
  }
  for (const exercise of exercises) {
    movements.push(...explain(exercise, claimOf(exercise), party, changes, offers, pendingDeltas));
  }
  return { movements, endings, pendingDeltas };
}

/** The movements that a claim explains: none where it cannot be believed, says nothing of money or repeats what another one has explained. */
function explain(
  exercise: ExercisedEvent,
  claim: Claim | undefined,
  party: string,
  changes: HoldingChanges,
  offers: Offers,
  pendingDeltas: Map<string, Amount>,
): DraftMovement[] {
  if (claim === undefined) return [];
  const { nodeId, lastDescendantNodeId } = exercise;
  const isBelieved = beliefIn(exercise, party);
  const take = (instrument: Instrument) => changes.take(nodeId, lastDescendantNodeId, instrument);

  switch (claim.kind) {
    case 'FACTORY':
    case 'RULE': {
      const { transfer } = claim;
      if (transfer.sender !== party && transfer.receiver !== party) return []; // Others' transfer: it explains nothing of ours.
      const isOther = (instrument: Instrument) => !isSameInstrument(instrument, transfer.instrument);
      if (!isBelieved(transfer.instrument) || changes.isEveryIn(nodeId, lastDescendantNodeId, isOther)) return [];
      if (claim.kind === 'FACTORY' && claim.output.kind === 'PENDING') {
        const { instruction } = claim.output;
        const offer = instruction === undefined ? undefined : offers.get(instruction);
        // A result may name any offer. Only one of the same instrument, and once, or its tokens would count as the offer's.
        if (offer === undefined || pendingDeltas.has(offer.contractId)) return [];
        if (!isSameInstrument(offer.view.transfer.instrument, transfer.instrument)) return [];
        pendingDeltas.set(offer.contractId, take(transfer.instrument));
        return [];
      }
      const holdingsDelta = take(transfer.instrument);
      const failed = claim.kind === 'FACTORY' && claim.output.kind === 'FAILED';
      return [{ ...transferMovement(transfer, party, holdingsDelta), nodeId, status: failed ? 'FAILED' : 'COMPLETED' }];
    }
    case 'INSTRUCTION':
      // An offer from before the history we have: what it moved is known, its terms are not.
      return changes
        .instrumentsIn(nodeId, lastDescendantNodeId)
        .filter(isBelieved)
        .map((instrument) => ({ ...labelledMovement('OFFER', instrument, take(instrument)), nodeId }));
    case 'LABELLED': {
      const movementOf = labelReader(claim, party);
      if (movementOf === null || !changes.isEveryIn(nodeId, lastDescendantNodeId, isBelieved)) return [];
      return changes
        .instrumentsIn(nodeId, lastDescendantNodeId)
        .map((instrument) => ({ ...movementOf(instrument, take(instrument)), nodeId }));
    }
  }
}

/**
 * Whether an exercise may say what the party's own holdings of `instrument` were moved for: when the party or the instrument's admin acted in
 * it, or when the contract is one of a package whose code is known to tell the truth. The memo of a wrapper by anybody else is not believed.
 */
function beliefIn(exercise: ExercisedEvent, party: string): (instrument: Instrument) => boolean {
  const isTrusted = exercise.actingParties.includes(party) || isPinned(exercise);
  return (instrument) => isTrusted || exercise.actingParties.includes(instrument.admin);
}

/** How a label turns the change of an instrument's holdings into a movement; `null` for labels that say nothing of money. */
function labelReader(
  claim: Extract<Claim, { kind: 'LABELLED' }>,
  party: string,
): ((instrument: Instrument, holdingsDelta: Amount) => Omit<DraftMovement, 'nodeId'>) | null {
  switch (claim.txKind) {
    case 'transfer':
      return (instrument, holdingsDelta) => {
        const movement = labelledMovement('DIRECT', instrument, holdingsDelta);
        // The label names the sender alone: of what we sent, the receiver stays unknown.
        const counterparty = movement.direction === 'IN' && claim.sender !== party ? claim.sender : null;
        return { ...movement, memo: claim.memo, counterparty };
      };
    case 'mint':
      return (instrument, holdingsDelta) => labelledMovement('MINT', instrument, holdingsDelta);
    case 'burn':
    case 'expire-dust':
      return (instrument, holdingsDelta) => labelledMovement('BURN', instrument, holdingsDelta);
    case 'merge-split':
      return (instrument, holdingsDelta) => labelledMovement('MERGE', instrument, holdingsDelta);
    default:
      // 'unlock' moves nothing; a kind that a later standard adds must not stop the stream.
      return null;
  }
}

/** A movement of which only the change of the holdings is known. */
function labelledMovement(
  kind: TransferKind,
  instrument: Instrument,
  holdingsDelta: Amount,
): Omit<DraftMovement, 'nodeId'> {
  return {
    kind: kind === 'DIRECT' && holdingsDelta === 0n ? 'MERGE' : kind,
    direction: holdingsDelta > 0n ? 'IN' : holdingsDelta < 0n ? 'OUT' : 'SELF',
    status: 'COMPLETED',
    instrument,
    amount: absolute(holdingsDelta),
    holdingsDelta,
    counterparty: null,
    memo: null,
    transfer: null,
  };
}

/** A one-step transfer whose terms are known. What came in is the holdings' word; what went out is the order's, and the rest a fee. */
function transferMovement(
  transfer: TransferRecord,
  party: string,
  holdingsDelta: Amount,
): Omit<DraftMovement, 'nodeId' | 'status'> {
  const direction = directionOf(transfer, party);
  return {
    kind: direction === 'SELF' ? 'MERGE' : 'DIRECT',
    direction,
    instrument: transfer.instrument,
    amount: direction === 'IN' ? absolute(holdingsDelta) : transfer.amount,
    holdingsDelta,
    counterparty: counterpartyOf(transfer, direction),
    memo: transfer.meta.get(META_REASON) ?? null,
    transfer,
  };
}

/** A pending transfer for each new offer; one that continues a known offer under a new contract starts none. */
function newOffers(
  offers: Offers,
  party: string,
  known: Known,
  pendingDeltas: ReadonlyMap<string, Amount>,
): DraftMovement[] {
  return [...offers.values()]
    .filter((offer) => originOf(offer, offers, known.instruction) === null)
    .map(({ nodeId, contractId, view: { transfer } }) => {
      const direction = directionOf(transfer, party);
      return {
        nodeId,
        instruction: contractId,
        kind: 'OFFER',
        direction,
        status: 'PENDING',
        instrument: transfer.instrument,
        amount: transfer.amount,
        holdingsDelta: pendingDeltas.get(contractId) ?? ZERO,
        counterparty: counterpartyOf(transfer, direction),
        memo: transfer.meta.get(META_REASON) ?? null,
        transfer,
      };
    });
}

function unexplained(rest: { nodeId: number; instrument: Instrument; delta: Amount }): DraftMovement {
  return { ...labelledMovement('UNEXPLAINED', rest.instrument, rest.delta), nodeId: rest.nodeId };
}

/** How an offer ended. An end outside the standard's choices is a failure that we cannot read. */
function endingOf(exercise: ExercisedEvent, holdingsDelta: Amount): Ending {
  const { contractId } = exercise;
  const claim = claimOf(exercise);
  const end = (status: InstructionEnd & FinalStatus): Ending => ({
    contractId,
    status,
    transferStatus: status,
    holdingsDelta,
  });
  if (claim?.kind !== 'INSTRUCTION') return end('FAILED');
  if (claim.output.kind === 'PENDING')
    return { contractId, status: 'REPLACED', transferStatus: 'PENDING', holdingsDelta };
  if (claim.output.kind === 'COMPLETED')
    return { contractId, status: 'ACCEPTED', transferStatus: 'COMPLETED', holdingsDelta };
  switch (claim.choice) {
    case 'REJECT':
      return end('REJECTED');
    case 'WITHDRAW':
      return end('WITHDRAWN');
    case 'UPDATE':
      return end('EXPIRED');
    case 'ACCEPT':
      return end('FAILED');
  }
}

function directionOf(transfer: TransferRecord, party: string): Direction {
  if (transfer.sender === transfer.receiver) return 'SELF';
  return transfer.receiver === party ? 'IN' : 'OUT';
}

function counterpartyOf(transfer: TransferRecord, direction: Direction): string | null {
  return direction === 'SELF' ? null : direction === 'IN' ? transfer.sender : transfer.receiver;
}

function absolute(amount: Amount): Amount {
  return amountOf(amount < 0n ? -amount : amount);
}

function nodeIdOf({ event }: Event): number {
  return event?.value.nodeId ?? -1;
}

function exercisedIn(events: readonly Event[]): ExercisedEvent[] {
  return events.flatMap(({ event }) => (event?.$case === 'exercised' ? [event.value] : []));
}
