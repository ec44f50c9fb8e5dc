/** The place in the past that a question means: a record time, or what a cursor of the event log had told by then. */
import type { Micros } from '../env/clock.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { readKnownHistory, recordTimeAt } from '../read/as-of.ts';
import { apiError, cursorErrorOf } from './api-error.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';

export const AsOfInput = builder.inputType('AsOf', {
  description: 'A place in the past: exactly one of the two. Since 0.1.',
  fields: (t) => ({
    recordTime: t.field({
      type: 'RecordTime',
      description: 'When the ledger was at this record time: everything recorded up to and at it, nothing later.',
    }),
    cursor: t.field({
      type: 'Cursor',
      description:
        'When an event up to this one told of the ledger last: the record time of the update it came from, as `recordTime` of the answer says.',
    }),
  }),
});

export type AsOf = {
  readonly recordTime?: Micros | null | undefined;
  readonly cursor?: string | null | undefined;
};

/**
 * @param party null: all treasury parties have to know that time.
 * @throws GraphQLError FILTER_INVALID, AS_OF_NOT_KNOWN (with `from` and `to` of what is known), and the errors of cursors.
 */
export async function recordTimeOf(
  { recordTime = null, cursor = null }: AsOf,
  party: { readonly network: string; readonly party: string } | null,
  { db, tail }: Pick<ApiContext, 'db' | 'tail'>,
): Promise<Micros> {
  if ((recordTime === null) === (cursor === null)) {
    throw apiError('FILTER_INVALID', 'Ask as of a record time or as of a cursor: one of the two.');
  }
  const wanted = recordTime ?? (await timeOfCursor(cursor ?? '', { db, tail }));
  const histories = (await readKnownHistory(db)).filter(
    ({ treasury }) => party === null || (treasury.network === party.network && treasury.party === party.party),
  );
  for (const { treasury, from, to } of histories) {
    if (from !== null && to !== null && wanted >= from && wanted <= to) continue;
    throw apiError('AS_OF_NOT_KNOWN', `What ${treasury.name} held then is not known here.`, {
      treasury: treasury.party,
      from: from === null ? null : formatRecordTime(from),
      to: to === null ? null : formatRecordTime(to),
    });
  }
  return wanted;
}

async function timeOfCursor(cursor: string, { db, tail }: Pick<ApiContext, 'db' | 'tail'>): Promise<Micros> {
  const { position } = await tail.pointAfter(cursor).catch((error: unknown) => {
    throw cursorErrorOf(error);
  });
  const told = await recordTimeAt(db, position);
  if (told === null) {
    throw apiError('AS_OF_NOT_KNOWN', 'No event up to that cursor tells of the ledger.', { from: null, to: null });
  }
  return told;
}

/** As one text, for keys of loaders; {@link parseAsOf} reads it. */
export function printAsOf({ recordTime, cursor }: AsOf): string {
  return `${recordTime ?? ''} ${cursor ?? ''}`;
}

export function parseAsOf(text: string): AsOf {
  const [recordTime = '', cursor = ''] = text.split(' ');
  return { recordTime: recordTime === '' ? null : BigInt(recordTime), cursor: cursor === '' ? null : cursor };
}
