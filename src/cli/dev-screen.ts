/** The terminal of `dev` while it runs: what came in, as text. Pure; the widths are those of a terminal of 80 columns. */
import { formatRecordTime } from '../env/record-time.ts';
import { formatAmount } from '../tokens/amount.ts';
import { isFinal } from '../withdrawals/withdrawal-state.ts';
import type { DevProgress, ShownWithdrawal } from './dev-progress.ts';

type Styled = (style: 'bold' | 'dim' | 'green' | 'yellow' | 'red', text: string) => string;

/** The block that is redrawn on a terminal. */
export function renderBlock(progress: DevProgress, styled: Styled): readonly string[] {
  const lines = [
    '',
    ...progress.streams.map((line) => streamLine(line, styled)),
    `  ${depositsText(progress)}`,
    `  ${withdrawalsText(progress)}`,
    '',
  ];
  if (progress.instruments.length > 0) {
    const [head = '', ...rows] = alignColumns([
      ['instrument', 'credited', 'no owner', 'in treasury', 'offered'],
      ...progress.instruments.map(({ name, credited, ownerless, held, offered }) => [
        name,
        ...[credited, ownerless, held, offered].map(readable),
      ]),
    ]);
    lines.push(`  ${styled('dim', head)}`, ...rows.map((row) => `  ${row}`), '');
  }
  for (const { recordTime, amount, instrument, account, memo } of progress.recent) {
    const owner = account === null ? styled('yellow', 'nobody yet') : styled('green', account);
    const time = styled('dim', timeOf(recordTime));
    lines.push(`  ${time}  ${readable(amount).padStart(16)} ${instrument.padEnd(10)} → ${owner}  ${memoText(memo)}`);
  }
  if (progress.recentWithdrawals.length > 0) lines.push('');
  for (const withdrawal of progress.recentWithdrawals) {
    const { createdAt, amount, instrument, account } = withdrawal;
    const time = styled('dim', timeOf(createdAt));
    const money = `${readable(amount).padStart(16)} ${instrument.padEnd(10)}`;
    lines.push(`  ${time}  ${money} ← ${account}  ${stateText(withdrawal, styled)}`);
  }
  return lines;
}

/** One line, for pipes and logs. */
export function renderLine(progress: DevProgress): string {
  const streams = progress.streams.map(
    ({ stream, freshness }) =>
      `${stream.treasury.name} ${freshness.state} updates=${stream.updatesCount} offset=${stream.ledgerOffset} lag=${lagText(freshness.ageMs)}`,
  );
  const totals = progress.instruments.map(
    ({ name, credited, held }) => `${name} credited=${readable(credited)} treasury=${readable(held)}`,
  );
  return [...streams, depositsText(progress), withdrawalsText(progress), ...totals].join('; ');
}

/** The first column to the left, the others to the right, each as wide as its widest cell and never touching. */
function alignColumns(rows: readonly (readonly string[])[]): readonly string[] {
  const widthOf = (column: number): number => Math.max(12, ...rows.map((row) => (row[column] ?? '').length));
  return rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widthOf(0)) : cell.padStart(widthOf(column) + 2))).join(''),
  );
}

function streamLine({ stream, freshness }: DevProgress['streams'][number], styled: Styled): string {
  const isWell = freshness.state === 'IDLE' || freshness.state === 'STARTING';
  const parts = [
    `${stream.updatesCount} updates`,
    `offset ${stream.ledgerOffset}`,
    `${lagText(freshness.ageMs)} behind the ledger`,
    ...(stream.quarantinedCount > 0n ? [styled('red', `${stream.quarantinedCount} quarantined`)] : []),
    ...(stream.statusReason === null ? [] : [styled('red', stream.statusReason)]),
  ];
  return `  ${styled('bold', stream.treasury.name)}  ${styled(isWell ? 'green' : 'yellow', freshness.state)}  ${parts.join(' · ')}`;
}

function depositsText({ creditedCount, unattributedCount, offersCount }: DevProgress): string {
  return `${creditedCount} deposits credited, ${unattributedCount} without an owner, ${offersCount} offers seen`;
}

function withdrawalsText({ withdrawals: { requested, completed, ended } }: DevProgress): string {
  return `${requested} withdrawals requested, ${completed} paid, ${ended} ended unpaid`;
}

function stateText({ state, decidableBy, failureCode }: ShownWithdrawal, styled: Styled): string {
  if (state === 'COMPLETED') return styled('green', 'paid');
  if (isFinal(state))
    return styled('red', failureCode === null ? state.toLowerCase() : `${state.toLowerCase()}: ${failureCode}`);
  return styled('yellow', decidableBy === null ? state.toLowerCase() : `certain by ${timeOf(decidableBy)}`);
}

function memoText(memo: string | null): string {
  // Whatever a sender wrote: on a terminal it must not be able to move the cursor or to turn the text around.
  return memo === null ? 'no memo' : `memo ${JSON.stringify(memo.replaceAll(/\p{C}/gu, '\ufffd'))}`;
}

function lagText(ageMs: number | null): string {
  return ageMs === null ? '–' : `${(ageMs / 1_000).toFixed(1)} s`;
}

function timeOf(recordTime: bigint): string {
  return formatRecordTime(recordTime).slice(11, 19);
}

/** `1,234.5`: grouped, without the zeros at the end. Exact. */
export function readable(amount: bigint): string {
  const [whole = '', fraction = ''] = formatAmount(amount).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  const significant = fraction.replace(/0+$/, '');
  return significant === '' ? grouped : `${grouped}.${significant}`;
}
