/** The rows of cases at the desk, as the deposit sink reads and writes them: what nobody could be credited with. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { relationOf } from '../db/row-arrays.ts';
import type { Owner, Unattributed } from './deposit-owner.ts';

export type DeskCaseState = 'OFFERED' | 'OPEN' | 'ASSIGNED' | 'REFUNDED' | 'ENDED';

export type DeskCaseRow = {
  readonly transferId: string;
  readonly state: DeskCaseState;
  readonly why: Unattributed | 'DENIED';
  /** Whose an offer will be when it is accepted; null: nobody's. */
  readonly assigned: Owner | null;
};

/** A case as it is written: the facts are those of the update that brought it. */
export type DeskCaseDraft = DeskCaseRow & {
  readonly treasuryId: number;
  readonly instrumentKey: number;
  /** Decimal text, above zero. */
  readonly amount: string;
  readonly memo: string | null;
  readonly sender: string | null;
  readonly updateId: string;
  readonly recordTime: bigint;
  readonly named: bigint | null;
  /** On which account the money waits; null: none has come. */
  readonly funds: bigint | null;
};

/** Locks those that are there, in the order of their ids: before anything of `screening` is locked, as everybody does. */
export async function lockDeskCases(
  tx: Transaction,
  transferIds: readonly string[],
): Promise<ReadonlyMap<string, DeskCaseRow>> {
  if (transferIds.length === 0) return new Map();
  const { rows } = await sql<{
    transferId: string;
    state: DeskCaseState;
    why: DeskCaseRow['why'];
    accountId: bigint | null;
    name: string | null;
    decidedBy: string | null;
  }>`
    SELECT c.transfer_id AS "transferId", c.state, c.why, c.account_id AS "accountId",
      (SELECT owner FROM account WHERE account.id = c.account_id) AS name, c.decided_by AS "decidedBy"
    FROM desk_case c WHERE c.transfer_id = ANY (${[...transferIds]}::text[]) ORDER BY c.transfer_id FOR UPDATE OF c`.execute(
    tx,
  );
  return new Map(
    rows.map(({ transferId, state, why, accountId, name, decidedBy }) => [
      transferId,
      {
        transferId,
        state,
        why,
        assigned:
          accountId === null || name === null || decidedBy === null
            ? null
            : { accountId, name, depositAccountId: null, decidedBy },
      },
    ]),
  );
}

const COLUMNS = {
  transfer_id: 'text',
  treasury_id: 'integer',
  instrument_id: 'integer',
  state: 'text',
  why: 'text',
  amount: 'numeric',
  memo: 'text',
  sender: 'text',
  update_id: 'text',
  record_time: 'bigint',
  named_account_id: 'bigint',
  account_id: 'bigint',
  decided_by: 'text',
  funds_account_id: 'bigint',
} as const;

/** Opens or changes cases; one statement, however many. Each transfer at most once. */
export async function writeDeskCases(tx: Transaction, cases: readonly DeskCaseDraft[]): Promise<void> {
  if (cases.length === 0) return;
  const rows = cases.map((one) => ({
    transfer_id: one.transferId,
    treasury_id: one.treasuryId,
    instrument_id: one.instrumentKey,
    state: one.state,
    why: one.why,
    amount: one.amount,
    memo: one.memo,
    sender: one.sender,
    update_id: one.updateId,
    record_time: one.recordTime,
    named_account_id: one.named,
    account_id: one.assigned?.accountId ?? null,
    decided_by: one.assigned?.decidedBy ?? null,
    funds_account_id: one.funds,
  }));
  const names = sql.raw(Object.keys(COLUMNS).join(', '));
  await sql`
    INSERT INTO desk_case (${names}) SELECT * FROM ${relationOf(COLUMNS, rows)} AS fresh
    ON CONFLICT (transfer_id) DO UPDATE SET state = excluded.state, why = excluded.why, amount = excluded.amount,
      update_id = excluded.update_id, record_time = excluded.record_time, account_id = excluded.account_id,
      decided_by = excluded.decided_by, funds_account_id = excluded.funds_account_id`.execute(tx);
}
