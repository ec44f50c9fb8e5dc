/** A transfer of value as one treasury party sees it, and the two ways to know one: by its terms, or by what the holdings did alone. */
import { type Amount, amountOf } from './amount.ts';
import { META_REASON } from './standard.ts';
import type { Instrument, TransferRecord } from './transfer-record.ts';

export type Direction = 'IN' | 'OUT' | 'SELF';
export type TransferKind = 'DIRECT' | 'OFFER' | 'MERGE' | 'MINT' | 'BURN' | 'UNEXPLAINED' | 'OPENING';
export type FinalStatus = 'COMPLETED' | 'REJECTED' | 'WITHDRAWN' | 'EXPIRED' | 'FAILED';

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

/** A movement before it is ranked among the others of its update; `instruction`: the offer that starts it. */
export type DraftMovement = Omit<Movement, 'id' | 'rank'> & { readonly nodeId: number; readonly instruction?: string };

/** A movement of which only the change of the holdings is known. */
export function movementOfHoldings(
  nodeId: number,
  kind: TransferKind,
  instrument: Instrument,
  holdingsDelta: Amount,
): DraftMovement {
  return {
    nodeId,
    kind,
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
export function movementOfTerms(
  nodeId: number,
  transfer: TransferRecord,
  party: string,
  holdingsDelta: Amount,
): DraftMovement {
  const direction = directionOf(transfer, party);
  return {
    nodeId,
    kind: direction === 'SELF' ? 'MERGE' : 'DIRECT',
    direction,
    status: 'COMPLETED',
    instrument: transfer.instrument,
    amount: direction === 'IN' ? absolute(holdingsDelta) : transfer.amount,
    holdingsDelta,
    counterparty: counterpartyOf(transfer, direction),
    memo: transfer.meta.get(META_REASON) ?? null,
    transfer,
  };
}

export function directionOf(transfer: TransferRecord, party: string): Direction {
  if (transfer.sender === transfer.receiver) return 'SELF';
  return transfer.receiver === party ? 'IN' : 'OUT';
}

export function counterpartyOf(transfer: TransferRecord, direction: Direction): string | null {
  return direction === 'SELF' ? null : direction === 'IN' ? transfer.sender : transfer.receiver;
}

function absolute(amount: Amount): Amount {
  return amountOf(amount < 0n ? -amount : amount);
}
