/** An update's effects in plain words, for people who must answer a customer or an auditor. Pure. */
import type { Micros } from '../env/clock.ts';
import { formatRecordTime } from '../env/record-time.ts';
import type { LedgerUpdateTable } from '../gen/db.ts';
import type { Transfer } from './transfers.ts';
import type { TreasuryParty } from './treasury-parties.ts';
import type { Withdrawal } from './withdrawals.ts';

export type UpdateFacts = {
  readonly kind: LedgerUpdateTable['kind'];
  readonly treasury: TreasuryParty;
  readonly updateId: string;
  readonly recordTime: Micros;
  readonly synchronizerId: string;
  readonly offset: bigint;
  readonly epoch: number;
  readonly quarantine: { readonly reason: string; readonly detail: string; readonly isOpen: boolean } | null;
};

export type HoldingFact = {
  readonly contractId: string;
  readonly amount: string;
  readonly instrument: string;
  readonly isLocked: boolean;
  readonly isGain: boolean;
};

export type BookingFact = {
  readonly description: string;
  readonly amount: string;
  readonly instrument: string;
  readonly debit: string;
  readonly credit: string;
};

export type ExplanationFacts = {
  readonly facts: UpdateFacts;
  readonly holdings: readonly HoldingFact[];
  readonly transfers: readonly Transfer[];
  readonly paid: readonly Withdrawal[];
  readonly bookings: readonly BookingFact[];
};

/** What others wrote is quoted, with what could move a cursor or turn text around taken out. */
export function explanationText({ facts, holdings, transfers, paid, bookings }: ExplanationFacts): readonly string[] {
  const { treasury, quarantine } = facts;
  const lines = [
    `${facts.updateId} is a ${facts.kind.toLowerCase()} that ${facts.synchronizerId} recorded at ${formatRecordTime(facts.recordTime)}. The history of ${treasury.name} has it at offset ${facts.offset} of epoch ${facts.epoch}.`,
  ];
  if (quarantine !== null) {
    lines.push(
      quarantine.isOpen
        ? `It waits in quarantine: ${quarantine.reason}, ${quoted(quarantine.detail)}. What it did is not in the books yet; \`sluice reparse\` reads it again.`
        : `It was in quarantine for ${quarantine.reason} and has been read since.`,
    );
  }
  lines.push(...transfers.flatMap((transfer) => transferText(transfer, facts)));
  for (const { id, account, amount, instrument } of paid) {
    lines.push(`This paid the withdrawal ${id}: ${plain(amount)} ${instrument.name} of ${quoted(account.owner)}.`);
  }
  for (const { isGain, isLocked, contractId, amount, instrument } of holdings) {
    const what = `the holding ${contractId} of ${plain(amount)} ${instrument}${isLocked ? ', locked' : ''}`;
    lines.push(isGain ? `${treasury.name} gained ${what}.` : `${treasury.name} gave up ${what}.`);
  }
  for (const { description, amount, instrument, debit, credit } of bookings) {
    lines.push(`Booked as ${quoted(description)}: ${plain(amount)} ${instrument} from ${debit} to ${credit}.`);
  }
  if (transfers.length + holdings.length === 0 && quarantine === null) {
    lines.push(`Nothing that ${treasury.name} owns or was offered changed.`);
  }
  return lines;
}

function transferText(transfer: Transfer, { updateId, treasury }: UpdateFacts): string[] {
  const { id, kind, direction, amount, instrument, memo, attribution } = transfer;
  const money = `${plain(amount)} ${instrument.name}`;
  const other = transfer.counterparty ?? 'an unknown party';
  const said = memo === null ? 'without a memo' : `with the memo ${quoted(memo)}`;
  const lines: string[] = [];
  if (transfer.updateId === updateId) {
    if (kind === 'OFFER') {
      lines.push(
        direction === 'OUT'
          ? `${treasury.name} offered ${money} to ${other}, ${said} (${id}).`
          : `${other} offered ${money} to ${treasury.name}, ${said} (${id}).`,
      );
    } else {
      lines.push(`${movedText(transfer, treasury.name, money, other, said)} (${id}).`);
    }
  }
  if (transfer.concludedUpdateId === updateId && transfer.updateId !== updateId) {
    lines.push(`It ended the offer ${id} of ${money}: ${ENDS[transfer.status]}`);
  }
  if (transfer.concludedUpdateId === updateId && direction === 'IN' && transfer.status === 'COMPLETED') {
    lines.push(attributionText(attribution, transfer));
  }
  return lines;
}

function movedText(
  { kind, direction }: Transfer,
  treasury: string,
  money: string,
  other: string,
  said: string,
): string {
  switch (kind) {
    case 'MERGE':
      return `${treasury} moved its own holdings about, ${money}`;
    case 'MINT':
      return `${money} were created for ${treasury}`;
    case 'BURN':
      return `${money} of ${treasury} were destroyed, as a fee for example`;
    case 'OPENING':
      return `${treasury} held ${money} already when its history begins here`;
    case 'UNEXPLAINED':
      return `The holdings of ${treasury} ${direction === 'IN' ? 'grew' : 'shrank'} by ${money}, and nothing that can be believed says why`;
    case 'DIRECT':
    case 'OFFER':
      return direction === 'OUT'
        ? `${treasury} sent ${money} to ${other}, ${said}`
        : `${other} sent ${money} to ${treasury}, ${said}`;
  }
}

const ENDS: Readonly<Record<Transfer['status'], string>> = {
  PENDING: 'it goes on.',
  COMPLETED: 'it was accepted, and the tokens have moved.',
  REJECTED: 'the receiver refused it.',
  WITHDRAWN: 'the sender took it back.',
  EXPIRED: 'its time was over.',
  FAILED: 'the instrument’s admin ended it without moving tokens.',
};

function attributionText(attribution: Transfer['attribution'], { kind }: Transfer): string {
  if (attribution !== null) {
    const by = attribution.decidedBy === 'memo' ? 'by its memo' : `as ${quoted(attribution.decidedBy)} decided`;
    return `It belongs to the account ${quoted(attribution.account.owner)}, ${by}.`;
  }
  return kind === 'DIRECT' || kind === 'OFFER' ? 'It belongs to nobody so far.' : 'It is no deposit.';
}

/** Without the zeros that say nothing. */
function plain(amount: string): string {
  return amount.includes('.') ? amount.replace(/\.?0+$/, '') : amount;
}

function quoted(text: string): string {
  return JSON.stringify(text.replaceAll(/\p{C}/gu, '\ufffd'));
}
