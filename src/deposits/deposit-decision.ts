/** Whose a deposit is: pure, from the memo, from what the desk has said of an offer, and from what a screening service has said. */
import type { TransferChange } from '../ingestion/effect-sink.ts';
import type { Owner, Unattributed } from './deposit-owner.ts';
import type { DeskCaseRow } from './desk-case-rows.ts';
import { leaveFor } from './screening-gate.ts';
import type { ScreeningRow } from './screening-rows.ts';

/** What a memo stands for. */
export type MemoRow = {
  readonly id: string;
  readonly memo: string;
  readonly accountId: bigint;
  readonly owner: string;
  readonly state: 'ACTIVE' | 'RETIRED' | 'DISABLED';
};

export type Decision =
  | { readonly kind: 'CREDITED'; readonly owner: Owner }
  /** The owner's, once the screening service allows it. */
  | { readonly kind: 'HELD'; readonly owner: Owner; readonly isDenied: boolean }
  | { readonly kind: 'UNATTRIBUTED'; readonly why: Unattributed; readonly named: bigint | null }
  /** From another treasury of ours: nobody's deposit. */
  | { readonly kind: 'INTERNAL' };

export type Known = {
  readonly own: ReadonlySet<string>;
  readonly memos: ReadonlyMap<string, MemoRow>;
  /** By transfer id: of transfers that began before. */
  readonly cases: ReadonlyMap<string, DeskCaseRow>;
  readonly screenings: ReadonlyMap<string, ScreeningRow>;
  /** Whether nothing is available before a verdict. */
  readonly isScreening: boolean;
};

export function decide(change: TransferChange, { own, memos, cases, screenings, isScreening }: Known): Decision {
  if (change.counterparty !== null && own.has(change.counterparty)) return { kind: 'INTERNAL' };
  const nobodys = (why: Unattributed, named: bigint | null = null): Decision => ({ kind: 'UNATTRIBUTED', why, named });
  if (!change.instrument.isAccepted) return nobodys('INSTRUMENT_NOT_ACCEPTED');
  const assigned = cases.get(change.transferId)?.assigned ?? null;
  const verdict = (owner: Owner): Decision => {
    const leave = leaveFor(screenings.get(change.transferId) ?? null, owner.accountId, isScreening);
    return leave === 'GIVEN' ? { kind: 'CREDITED', owner } : { kind: 'HELD', owner, isDenied: leave === 'DENIED' };
  };
  if (assigned !== null) return verdict(assigned);
  if (change.memo === null || change.memo === '') return nobodys('NO_MEMO');
  const memo = memos.get(change.memo);
  if (memo === undefined) return nobodys('UNKNOWN_MEMO');
  if (memo.state === 'DISABLED') return nobodys('MEMO_DISABLED', memo.accountId);
  return verdict({ accountId: memo.accountId, name: memo.owner, depositAccountId: memo.id, decidedBy: 'memo' });
}

/** What came: more than zero for the change that brings the money. */
export function gainOf(change: TransferChange): bigint {
  return change.earlierHoldingsDelta + change.holdingsDelta;
}

/** Whether this change is the one that brings the money. */
export function isCredit(change: TransferChange): boolean {
  return change.status === 'COMPLETED' && gainOf(change) > 0n;
}
