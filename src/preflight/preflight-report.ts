/** What a look ahead tells: one check per question, whatever could be asked, and the facts behind them. */
import type { Micros } from '../env/clock.ts';
import type { TreasuryParty } from '../read/treasury-parties.ts';
import type { Amount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';

export type PreflightRequest = {
  /** The principal that would ask. */
  readonly client: string;
  readonly account: string;
  /** Party id; null: the fullest that has enough. */
  readonly treasuryParty: string | null;
  readonly instrument: Instrument;
  readonly receiver: string;
  readonly amount: Amount;
  readonly memo: string | null;
  /** True: a customer asks for himself. By amounts and receivers that he makes up he could find out what the treasuries hold, what the rules allow and what others withdraw: none of that is looked at. */
  readonly isForCustomer?: boolean;
};

/** In the order in which they are told. */
export const CHECK_KINDS = [
  'REQUEST',
  'POLICY',
  'STANDSTILL',
  'LEDGER',
  'RECEIVER',
  'TRANSFER_KIND',
  'PREAPPROVAL',
  'FUNDS',
  'FEE',
  'TRAFFIC',
] as const;
export type CheckKind = (typeof CHECK_KINDS)[number];

/**
 * `PASSED`: nothing in the way. `WAITS`: it would be taken, and wait. `REFUSED`: it would be refused, or end unpaid. `UNKNOWN`: whoever knows it did not say. `NOT_ASKED`: there is nothing to
 * ask here, or nobody to ask.
 */
export type CheckOutcome = 'PASSED' | 'WAITS' | 'REFUSED' | 'UNKNOWN' | 'NOT_ASKED';

/**
 * `FIRM`: by the rules and the rows that decide a request made at that moment. `LIKELY`: what somebody else says now, who is asked again when it is paid. `NONE`: nobody said anything.
 */
export type Certainty = 'FIRM' | 'LIKELY' | 'NONE';

export type CheckSource = 'DATABASE' | 'REGISTRY' | 'SCAN' | 'PARTICIPANT';

export type Check = {
  readonly kind: CheckKind;
  readonly outcome: CheckOutcome;
  /** Stable, for programs; null: passed. */
  readonly code: string | null;
  /** For people. */
  readonly detail: string;
  readonly source: CheckSource;
  readonly certainty: Certainty;
  /** When the source said so, by our clock; null: it did not. */
  readonly asOf: Micros | null;
};

/** What one treasury party could pay it from. */
export type TreasuryFunds = {
  readonly treasury: TreasuryParty;
  readonly outcome: 'ENOUGH' | 'WAIT' | 'TOO_LITTLE';
  /** What one transaction could pay now: unlocked, reserved by nobody, as many holdings as it takes. PostgreSQL's decimal text, as below. */
  readonly reach: string;
  /** All that is unlocked and reserved by nobody. */
  readonly free: string;
  /** All unspent holdings, whatever they are locked or reserved for. */
  readonly total: string;
  /** What queued withdrawals ask for that come before. */
  readonly queued: string;
};

/** What the rules say of it now. */
export type PreflightVerdict = {
  readonly kind: 'ALLOW' | 'NEEDS' | 'DENY';
  readonly approvalsNeeded: number;
  readonly needsScreening: boolean;
  readonly policyVersion: number;
  readonly reasons: readonly { readonly rule: string; readonly text: string }[];
};

export type ReceiverPreapproval = {
  readonly provider: string;
  readonly expiresAt: Micros;
  /** Whether it is valid past the target of an attempt that opened now. */
  readonly outlastsTarget: boolean;
};

export type PreflightReport = {
  /** `READY`: paid at once as far as all know. The worst of the checks otherwise: `REFUSED`, then `UNKNOWN`, then `WAITS`. */
  readonly outlook: 'READY' | 'WAITS' | 'UNKNOWN' | 'REFUSED';
  readonly checks: readonly Check[];
  /** Null: the request would be refused before. */
  readonly verdict: PreflightVerdict | null;
  readonly transferKind: 'DIRECT' | 'OFFER' | null;
  readonly preapproval: ReceiverPreapproval | null;
  /** What the customer pays beside the amount; null: not known. Decimal text. */
  readonly fee: string | null;
  /** What is kept of an offer that comes back, as the token’s policy has it now; null: not known. Decimal text. */
  readonly returnFee: string | null;
  /** Empty: it is not known who would pay. */
  readonly funds: readonly TreasuryFunds[];
  /** All history up to it is known, of the paying treasury's synchronizer; null: none. */
  readonly recordTime: Micros | null;
  /** The last record time of an attempt that opened now; null: none could. */
  readonly target: Micros | null;
};

const BY_SEVERITY = ['REFUSED', 'UNKNOWN', 'WAITS'] as const;

/** Pure. */
export function outlookOf(checks: readonly Check[]): PreflightReport['outlook'] {
  return BY_SEVERITY.find((severity) => checks.some(({ outcome }) => outcome === severity)) ?? 'READY';
}
