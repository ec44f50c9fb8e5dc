/** Updates by ranges instead of by following: in pages, and from the newest to the oldest. No checkpoints come with either. */
import type {
  GetUpdateResponse,
  GetUpdatesPageRequest,
  GetUpdatesPageResponse,
  GetUpdatesResponse,
} from '../../gen/com/daml/ledger/api/v2/update_service.ts';
import { cantonError } from './canton-error.ts';
import type { Faults } from './faults.ts';
import {
  requireNonNegative,
  requireNotAfterEnd,
  requireOrdered,
  requirePositive,
  requireUnpruned,
} from './offset-validation.ts';
import type { ParticipantHistory } from './participant-history.ts';
import type { ParticipantUpdate } from './update.ts';

type Project = (update: ParticipantUpdate) => GetUpdatesResponse | undefined;
type Range = { readonly beginExclusive: bigint; readonly endInclusive: bigint };

const PAGE_SIZE = 100;
const PAGE_SIZE_MAX = 2_000;

/** @throws CantonError when the range is not one, or no longer or not yet there. */
export function requireRange(
  { beginExclusive, endInclusive }: { readonly beginExclusive: bigint; readonly endInclusive: bigint | undefined },
  history: ParticipantHistory,
): void {
  requireNonNegative(beginExclusive, 'begin_exclusive');
  if (endInclusive !== undefined) requirePositive(endInclusive, 'end_inclusive');
  requireNotAfterEnd(beginExclusive, 'Begin', history);
  if (endInclusive !== undefined) {
    requireNotAfterEnd(endInclusive, 'End', history);
    requireOrdered(beginExclusive, endInclusive);
  }
  requireUnpruned(beginExclusive, `Transactions request from ${beginExclusive}`, history);
}

/** @throws CantonError DESCENDING_ORDER_MISSING_END. */
export function requireEnd(endInclusive: bigint | undefined): bigint {
  if (endInclusive !== undefined) return endInclusive;
  throw cantonError({
    code: 'DESCENDING_ORDER_MISSING_END',
    category: 'invalidRequest',
    text: 'An end offset is needed to read in descending order.',
  });
}

export async function* streamDescending({
  range,
  history,
  faults,
  project,
  client,
}: {
  readonly range: Range;
  readonly history: ParticipantHistory;
  readonly faults: Faults;
  readonly project: Project;
  readonly client: AbortSignal | undefined;
}): AsyncGenerator<GetUpdatesResponse, void, undefined> {
  const handle = faults.open(client, { hasEnd: true });
  try {
    let position = range.endInclusive;
    for (;;) {
      await faults.answering(handle.signal, 'stream');
      if (handle.signal.aborted) break;
      requireUnpruned(range.beginExclusive, `Transactions request from ${range.beginExclusive}`, history);
      const stored = history.upTo(position);
      if (stored === undefined || stored.offset <= range.beginExclusive) return;
      position = stored.offset - 1n;
      const message = project(stored);
      if (message === undefined) continue;
      await faults.delivering(handle.signal);
      yield message;
    }
    const failure = handle.failure();
    if (failure !== undefined) throw failure;
  } finally {
    handle.close();
  }
}

/** The range is fixed with the first page: what comes later is on none. */
export function updatesPage(
  request: GetUpdatesPageRequest,
  history: ParticipantHistory,
  project: Project,
): GetUpdatesPageResponse {
  const size = request.maxPageSize ?? PAGE_SIZE;
  if (size <= 0 || size > PAGE_SIZE_MAX) {
    throw cantonError({
      code: 'INVALID_FIELD',
      category: 'invalidRequest',
      text: `Invalid field max_page_size: it must be between 1 and ${PAGE_SIZE_MAX}`,
      metadata: { field_name: 'max_page_size' },
    });
  }
  const token = readToken(request.pageToken);
  const beginExclusive = request.beginOffsetExclusive ?? token?.beginExclusive ?? history.prunedUpTo();
  const endInclusive = request.endOffsetInclusive ?? token?.endInclusive ?? history.ledgerEnd();
  if (endInclusive > 0n) requireRange({ beginExclusive, endInclusive }, history);
  const start = token?.position ?? (request.descendingOrder ? endInclusive : beginExclusive);
  const updates: GetUpdateResponse[] = [];
  let position = start;
  while (updates.length < size) {
    const stored = request.descendingOrder ? history.upTo(position) : history.next(position);
    const isOutside = request.descendingOrder
      ? stored === undefined || stored.offset <= beginExclusive
      : stored === undefined || stored.offset > endInclusive;
    if (stored === undefined || isOutside) {
      const [lowest, highest] = request.descendingOrder ? [beginExclusive, start] : [start, endInclusive];
      return {
        updates,
        lowestPageOffsetExclusive: lowest,
        highestPageOffsetInclusive: highest,
        nextPageToken: undefined,
      };
    }
    position = request.descendingOrder ? stored.offset - 1n : stored.offset;
    const update = project(stored)?.update;
    if (update !== undefined && update.$case !== 'offsetCheckpoint') updates.push({ update });
  }
  const [lowest, highest] = request.descendingOrder ? [position, start] : [start, position];
  return {
    updates,
    lowestPageOffsetExclusive: lowest,
    highestPageOffsetInclusive: highest,
    nextPageToken: Uint8Array.from(Buffer.from(`${beginExclusive}:${endInclusive}:${position}`)),
  };
}

function readToken(token: Uint8Array | undefined): (Range & { readonly position: bigint }) | undefined {
  if (token === undefined || token.length === 0) return undefined;
  const [, begin, end, position] = /^(\d+):(\d+):(\d+)$/.exec(Buffer.from(token).toString('utf8')) ?? [];
  if (begin === undefined || end === undefined || position === undefined) {
    throw cantonError({
      code: 'INVALID_PAGE_TOKEN',
      category: 'invalidRequest',
      text: 'The page token is none of ours.',
    });
  }
  return { beginExclusive: BigInt(begin), endInclusive: BigInt(end), position: BigInt(position) };
}
