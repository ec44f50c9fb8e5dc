/**
 * Makes a case a customer's. Money that is here is credited, or, where deposits are screened, held until the verdict; of an offer only the owner
 * is noted, and its acceptance credits him.
 */
import { sql } from 'kysely';
import { type AccountRef, postEntries } from '../books/journal.ts';
import { lineOf } from '../books/transfer-booking.ts';
import type { Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import { insertRows } from '../db/row-arrays.ts';
import type { Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { parseAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import { ATTRIBUTION_COLUMNS } from './attribution-columns.ts';
import { DEPOSIT_CREDITED, DEPOSIT_HELD, type DepositCredited } from './deposit-events.ts';
import { depositFactsOf } from './desk-announcement.ts';
import type { LockedCase } from './desk-case-lock.ts';
import { leaveFor } from './screening-gate.ts';
import { readWhetherDepositsWait } from './screening-mode.ts';
import { openScreenings } from './screening-rows.ts';

export async function assignCase(
  tx: Transaction,
  found: LockedCase,
  wanted: {
    readonly account: { readonly id: bigint; readonly name: string };
    readonly by: string;
    readonly decisionId: bigint;
    readonly nowMicros: Micros;
    /** As `depositsWait` has it. */
    readonly screenedSince: Micros | null;
  },
): Promise<void> {
  const { account, by, decisionId, nowMicros, screenedSince } = wanted;
  const { transferId } = found;
  const isHere = found.funds !== null;
  const isScreening = await readWhetherDepositsWait(tx, found.networkId, screenedSince);
  // What was denied two people overrule by naming its owner, and what was allowed for him is not asked about again.
  const isToBeScreened = leaveFor(found.screening, account.id, isScreening) === 'WANTED';
  await sql`
    UPDATE desk_case SET state = 'ASSIGNED', account_id = ${account.id}, decided_by = ${by}, funds_account_id = NULL, withdrawal_id = NULL
    WHERE transfer_id = ${transferId}`.execute(tx);
  if (isToBeScreened) {
    const owner = { accountId: account.id, name: account.name, depositAccountId: null, decidedBy: by };
    const { treasuryId, instrumentKey, amount, memo, sender, updateId, recordTime } = found;
    const facts = { transferId, treasuryId, instrumentKey, amount, memo, sender, updateId, recordTime };
    await openScreenings(tx, [{ ...facts, owner, isOffer: !isHere, held: isHere ? amount : null }], nowMicros);
  }
  if (!isHere) return;

  assert(found.funds !== null, 'An assigned deposit has its money somewhere.', { transferId });
  const to: AccountRef = { kind: isToBeScreened ? 'HELD' : 'CUSTOMER', owner: account.name };
  const isElsewhere = to.kind !== found.funds.kind || to.owner !== found.funds.owner;
  await postEntries(tx, found.networkId, [
    {
      cause: `desk:${transferId}:${decisionId}`,
      description: 'assigned at the desk',
      recordTime: found.recordTime,
      lines: isElsewhere ? lineOf(found.instrumentKey, found.funds, to, parseAmount(found.amount)) : [],
    },
  ]);
  if (!isToBeScreened) {
    await insertRows(tx, 'attribution', ATTRIBUTION_COLUMNS, [
      {
        transfer_id: transferId,
        account_id: account.id,
        deposit_account_id: null,
        decided_by: by,
        record_time: found.recordTime,
      },
    ]);
  }
  const type = isToBeScreened ? DEPOSIT_HELD : DEPOSIT_CREDITED;
  const payload: DepositCredited = { ...depositFactsOf(found), account: account.name, depositAccountId: null };
  await appendEvents(tx, [
    {
      eventId: eventId(type, transferId, found.updateId),
      type,
      subject: transferId,
      payload,
      recordedAt: nowMicros,
    },
  ]);
}
