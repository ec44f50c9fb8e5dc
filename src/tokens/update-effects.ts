/**
 * What one transaction, as one treasury party sees it, means in money. Pure: the same transaction and the same knowledge give the same
 * effects, on any participant and at any rebuild.
 *
 * Two sources are kept apart. *How much* moved is read from holdings alone (`holding-changes.ts`): contracts with a Holding view that the
 * instrument's admin signed and the party owns, created and consumed. *What it was* (a deposit, by whom, with which memo) is read from the
 * exercises around them (`exercises.ts`), and only from those that can be believed (`belief.ts`). So whatever a hostile transaction claims of
 * itself, the sum of all movements equals the change of the holdings: each change is taken once, by the first who may explain it.
 *
 * First come the ends of offers (`offer-ends.ts`): their terms are the admin's word, and a wrapper around an acceptance must not take the money for
 * another memo. Then the exercises that speak for themselves (`explained-movements.ts`), in pre-order, the outermost first. What nobody
 * took is left to `unclaimed-movements.ts`. The admin's own event log is compared with all that and changes nothing (`event-log.ts`).
 */
import type { Transaction } from '../gen/com/daml/ledger/api/v2/transaction.ts';
import { type Amount, ZERO } from './amount.ts';
import { speakersIn } from './belief.ts';
import { differingReports } from './event-log.ts';
import { eventsInOrder, exercisedIn } from './event-order.ts';
import { takeExplained } from './explained-movements.ts';
import { type Anomaly, type HoldingCreated, holdingChanges, type KnownHolding } from './holding-changes.ts';
import { transferId } from './ids.ts';
import {
  counterpartyOf,
  type Direction,
  type DraftMovement,
  directionOf,
  type FinalStatus,
  type Movement,
} from './movement.ts';
import { type InstructionEnd, takeOfferEnds } from './offer-ends.ts';
import { type Offers, offersIn, originOf } from './offers.ts';
import { META_REASON } from './standard.ts';
import type { Instrument, TransferRecord } from './transfer-record.ts';
import { unclaimedMovements } from './unclaimed-movements.ts';

/** An offer of an earlier update that the party takes part in, open or ended. */
export type KnownInstruction = { readonly transferId: string; readonly instrument: Instrument };

/** What must be known of earlier updates to read the next one. */
export type Known = {
  holding(contractId: string): KnownHolding | undefined;
  instruction(contractId: string): KnownInstruction | undefined;
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

/**
 * @param transaction as received: LEDGER_EFFECTS shape, the party's wildcard, the interface views of the standard, verbose.
 * @param party whose effects are asked for; what other parties own in the same tree is ignored.
 * @throws DecodeError when a contract that the party itself signed cannot be read, or the events are such as no ledger can have made: then the party's balance
 * is in doubt.
 */
export function effectsOf(transaction: Transaction, party: string, known: Known): UpdateEffects {
  const events = eventsInOrder(transaction);
  const exercises = exercisedIn(events);
  const anomalies: Anomaly[] = [];
  const report = (anomaly: Anomaly) => void anomalies.push(anomaly);
  const changes = holdingChanges(events, party, (contractId) => known.holding(contractId), report);
  const offers = offersIn(events, party, report);

  const instrumentOfOffer = (contractId: string): Instrument | undefined =>
    known.instruction(contractId)?.instrument ?? offers.get(contractId)?.view.transfer.instrument;
  const ends = takeOfferEnds(exercises, instrumentOfOffer, changes);
  const ended = new Set(ends.map(({ contractId }) => contractId));
  const others = ended.size === 0 ? exercises : exercises.filter(({ contractId }) => !ended.has(contractId));
  const explained = takeExplained(others, {
    party,
    speakerOf: speakersIn(events, party),
    changes,
    offers,
    startsTransfer: (offer) => originOf(offer, offers, known.instruction) === null,
  });
  const movements = [
    ...explained.movements,
    ...newOffers(offers, party, known, explained.pendingDeltas),
    ...unclaimedMovements(changes.all),
  ]
    .sort((left, right) => left.nodeId - right.nodeId)
    .map((draft, rank) => ({ ...draft, rank, id: transferId(party, transaction.updateId, rank) }));
  for (const { contractId } of differingReports(exercises, party, changes.all)) {
    report({ code: 'EVENT_LOG_DIFFERS', contractId });
  }

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
    progress: ends.flatMap(({ contractId, transferStatus, holdingsDelta }) => {
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
    instructionsEnded: ends.map(({ contractId, status }) => ({ contractId, status })),
    anomalies,
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
