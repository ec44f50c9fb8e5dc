/**
 * What a deposit leaves to be done. Folded over the changes of a batch in their order, because an offer may begin and end in one batch, and then written with a
 * few statements:
 *
 *   nobody's          a case at the desk: OFFERED while it is an offer, OPEN once money came, ENDED when the offer ended without reaching us.
 *   waits for verdict a question to the screening service; with the money that came for it, if any.
 *   denied and here   a case at the desk, OPEN, its money held.
 */
import type { Transaction } from '../db/connection.ts';
import type { TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { formatAmount } from '../tokens/amount.ts';
import { type Decision, gainOf, isCredit, type Known } from './deposit-decision.ts';
import { type DeskCaseDraft, type DeskCaseRow, writeDeskCases } from './desk-case-rows.ts';
import { endScreenings, openScreenings, recordHeld, type ScreeningDraft } from './screening-rows.ts';

type Decided = {
  readonly change: TransferChange;
  readonly decision: Decision;
  /** The account that the money went to, where it waits; null: none came, or it is credited. */
  readonly funds: bigint | null;
};

export async function followUp(
  tx: Transaction,
  treasury: Treasury,
  decided: readonly Decided[],
  known: Known,
  nowMicros: bigint,
): Promise<void> {
  const cases = new Map<string, DeskCaseDraft>();
  const opened = new Map<string, ScreeningDraft>();
  const held: ScreeningDraft[] = [];
  const ended: string[] = [];

  for (const { change, decision, funds } of decided) {
    const { transferId } = change;
    const isHere = isCredit(change);
    const isOver = change.status !== 'PENDING' && !isHere;
    const earlier: DeskCaseRow | undefined = cases.get(transferId) ?? known.cases.get(transferId);
    if (isOver) {
      if (opened.has(transferId) || known.screenings.has(transferId)) ended.push(transferId);
      if (earlier?.state === 'OFFERED' || earlier?.state === 'ASSIGNED') {
        cases.set(transferId, draftOf(treasury, change, { ...earlier, state: 'ENDED', assigned: null }, null, null));
      }
      continue;
    }
    // Its memo was registered, or a person named its owner, after it was offered.
    if (isHere && earlier?.state === 'OFFERED' && (decision.kind === 'CREDITED' || decision.kind === 'HELD')) {
      const row = { ...earlier, state: 'ASSIGNED', assigned: decision.owner } as const;
      cases.set(transferId, draftOf(treasury, change, row, null, null));
    }
    if (decision.kind === 'UNATTRIBUTED' && amountOf(change) > 0n) {
      const { named } = decision;
      const state = isHere ? 'OPEN' : 'OFFERED';
      // Its memo was disabled since: people decide, and whom they name is asked about anew.
      if (isHere && known.screenings.has(transferId)) ended.push(transferId);
      const why = known.screenings.get(transferId)?.state === 'DENIED' ? 'DENIED' : decision.why;
      cases.set(transferId, draftOf(treasury, change, { transferId, state, why, assigned: null }, named, funds));
    }
    if (decision.kind === 'HELD' && amountOf(change) > 0n) {
      const asked = known.screenings.get(transferId);
      const isAsked =
        asked !== undefined &&
        (decision.isDenied || (asked.state !== 'ENDED' && asked.accountId === decision.owner.accountId));
      const draft: ScreeningDraft = {
        ...factsOf(treasury, change),
        isOffer: opened.get(transferId)?.isOffer ?? change.status === 'PENDING',
        owner: decision.owner,
        held: isHere ? formatAmount(gainOf(change)) : null,
      };
      if (!isAsked) opened.set(transferId, draft);
      else if (isHere) held.push(draft);
      if (decision.isDenied && isHere) {
        const row = { transferId, state: 'OPEN', why: 'DENIED', assigned: null } as const;
        cases.set(transferId, draftOf(treasury, change, row, decision.owner.accountId, funds));
      }
    }
  }

  await writeDeskCases(tx, [...cases.values()]);
  await openScreenings(tx, [...opened.values()], nowMicros);
  for (const one of held) await recordHeld(tx, one);
  await endScreenings(tx, ended, { by: 'sluice:ledger', nowMicros });
}

function amountOf(change: TransferChange): bigint {
  return isCredit(change) ? gainOf(change) : change.amount;
}

function factsOf(treasury: Treasury, change: TransferChange) {
  return {
    transferId: change.transferId,
    treasuryId: treasury.id,
    instrumentKey: change.instrument.key,
    amount: formatAmount(amountOf(change)),
    memo: change.memo,
    sender: change.counterparty,
    updateId: change.updateId,
    recordTime: change.recordTime,
  };
}

function draftOf(
  treasury: Treasury,
  change: TransferChange,
  row: DeskCaseRow,
  named: bigint | null,
  funds: bigint | null,
): DeskCaseDraft {
  return { ...factsOf(treasury, change), ...row, named, funds };
}
