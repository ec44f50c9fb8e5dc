/** A case under its lock, with all that a decision about it needs to know. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { type DepositPlace, lockPlace } from './deposit-place.ts';
import type { DeskCaseRow, DeskCaseState } from './desk-case-rows.ts';
import { DeskRefusal } from './desk-refusal.ts';

export type LockedCase = {
  readonly transferId: string;
  readonly state: DeskCaseState;
  readonly why: DeskCaseRow['why'];
  readonly networkId: number;
  readonly treasuryId: number;
  readonly treasuryParty: string;
  readonly instrumentKey: number;
  readonly admin: string;
  readonly instrumentId: string;
  readonly isAccepted: boolean;
  /** Decimal text. */
  readonly amount: string;
  readonly memo: string | null;
  readonly sender: string | null;
  readonly updateId: string;
  readonly recordTime: bigint;
  /** Where its money waits; null: none has come. */
  readonly funds: { readonly kind: 'UNATTRIBUTED' | 'HELD' | 'REFUNDS'; readonly owner: string } | null;
  /** Of the withdrawal that was to pay it back; null: none. */
  readonly refundState: string | null;
} & Pick<DepositPlace, 'screening' | 'isAsTheLedgerSays'>;

/** @throws DeskRefusal CASE_UNKNOWN. */
export async function lockCase(tx: Transaction, transferId: string): Promise<LockedCase> {
  if (!transferId.isWellFormed() || transferId.includes('\0')) throw new DeskRefusal('CASE_UNKNOWN');
  const { screening, isAsTheLedgerSays } = await lockPlace(tx, transferId);
  const { rows } = await sql<
    Omit<LockedCase, 'funds' | keyof DepositPlace> & {
      fundsKind: 'UNATTRIBUTED' | 'HELD' | 'REFUNDS' | null;
      fundsOwner: string | null;
    }
  >`
    SELECT c.transfer_id AS "transferId", c.state, c.why, p.network_id AS "networkId", c.treasury_id AS "treasuryId",
      p.party AS "treasuryParty", c.instrument_id AS "instrumentKey", i.admin, i.instrument_id AS "instrumentId",
      i.is_accepted AS "isAccepted", c.amount::text, c.memo, c.sender, c.update_id AS "updateId", c.record_time AS "recordTime",
      funds.kind AS "fundsKind", funds.owner AS "fundsOwner", w.state AS "refundState"
    FROM desk_case c JOIN treasury_party p ON p.id = c.treasury_id JOIN instrument i ON i.id = c.instrument_id
    LEFT JOIN account funds ON funds.id = c.funds_account_id
    LEFT JOIN withdrawal w ON w.id = c.withdrawal_id
    WHERE c.transfer_id = ${transferId}`.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new DeskRefusal('CASE_UNKNOWN');
  const { fundsKind, fundsOwner, ...rest } = row;
  const funds = fundsKind === null || fundsOwner === null ? null : { kind: fundsKind, owner: fundsOwner };
  return { ...rest, funds, screening, isAsTheLedgerSays };
}

const UNPAID: ReadonlySet<string> = new Set(['REJECTED', 'CANCELLED', 'FAILED', 'RETURNED']);

/** Whether something can still be decided: nothing is, or the refund that was decided has certainly not been paid. */
export function isOpenForDecision({ state, refundState }: LockedCase): boolean {
  return state === 'OPEN' || state === 'OFFERED' || (state === 'REFUNDED' && UNPAID.has(refundState ?? ''));
}
