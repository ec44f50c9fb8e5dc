/**
 * Relay connections over pages by key (src/read/page.ts): 20 rows unless told, 100 at most, refused above rather than cut in silence; and
 * `first` with `last` is refused, since the specification gives it no clear meaning.
 */
import type { Page, PageKey, PageRequest } from '../read/page.ts';
import { apiError } from './api-error.ts';

export const PAGE_SIZE_DEFAULT = 20;
export const PAGE_SIZE_MAX = 100;

export type ConnectionArguments = {
  readonly first?: number | null | undefined;
  readonly last?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly before?: string | null | undefined;
};

/** A list and what its keys are made of: `i` an integer, `t` text, `d` an amount. Part of every cursor, so that one of another list is refused. */
export type ListShape = { readonly name: string; readonly key: string };

export type Connection<Row> = {
  readonly edges: readonly { readonly cursor: string; readonly node: Row }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
};

/**
 * @param read gets the page asked for; @param keyOf the sort key of a row.
 * @throws GraphQLError PAGE_ARGUMENTS_INVALID, PAGE_CURSOR_INVALID, and what `read` throws.
 */
export async function connectionOf<Row>(
  shape: ListShape,
  args: ConnectionArguments,
  read: (request: PageRequest) => Promise<Page<Row>>,
  keyOf: (row: Row) => PageKey,
): Promise<Connection<Row>> {
  const request = pageRequestOf(shape, args);
  const { rows, isMore } = await read(request);
  const edges = rows.map((node) => ({ cursor: formatPageCursor(shape, keyOf(node)), node }));
  return {
    edges,
    pageInfo: {
      // Towards the end not read from, a given bound is taken as the sign that there is more.
      hasNextPage: request.isFromEnd ? request.before !== null : isMore,
      hasPreviousPage: request.isFromEnd ? isMore : request.after !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

export function pageRequestOf(shape: ListShape, { first, last, after, before }: ConnectionArguments): PageRequest {
  if (first != null && last != null) {
    throw apiError('PAGE_ARGUMENTS_INVALID', 'Ask for `first` or for `last`, not for both.');
  }
  const limit = first ?? last ?? PAGE_SIZE_DEFAULT;
  if (limit < 1 || limit > PAGE_SIZE_MAX) {
    throw apiError('PAGE_ARGUMENTS_INVALID', `A page has 1 to ${PAGE_SIZE_MAX} rows.`, { pageSizeMax: PAGE_SIZE_MAX });
  }
  return {
    limit,
    after: after == null ? null : parsePageCursor(shape, after),
    before: before == null ? null : parsePageCursor(shape, before),
    isFromEnd: last != null,
  };
}

const CURSOR_VERSION = '1';
const CURSOR_LENGTH_MAX = 4_096;
const INTEGER = /^-?(0|[1-9][0-9]{0,18})$/;
const AMOUNT = /^(0|[1-9][0-9]{0,27})(\.[0-9]{1,10})?$/;
const BIGINT_MAX = 2n ** 63n - 1n;

export function formatPageCursor(shape: ListShape, key: PageKey): string {
  return Buffer.from(JSON.stringify([CURSOR_VERSION, shape.name, ...key.map(textOf)]), 'utf8').toString('base64url');
}

function textOf(part: PageKey[number]): string {
  return typeof part === 'object' ? part.amount : String(part);
}

/** Reads a cursor as hostile input: only what {@link formatPageCursor} prints for this list. @throws GraphQLError PAGE_CURSOR_INVALID. */
export function parsePageCursor(shape: ListShape, cursor: string): PageKey {
  const content =
    cursor.length > CURSOR_LENGTH_MAX ? null : parseJson(Buffer.from(cursor, 'base64url').toString('utf8'));
  if (!Array.isArray(content) || content.length !== shape.key.length + 2) throw invalidCursor();
  const parts: readonly unknown[] = content.slice(2);
  const key = parts.map((part, index) => {
    if (typeof part !== 'string' || part.includes('\0')) throw invalidCursor();
    if (shape.key[index] === 't') return part;
    if (shape.key[index] === 'd') {
      if (!AMOUNT.test(part)) throw invalidCursor();
      return { amount: part };
    }
    if (!INTEGER.test(part) || BigInt(part) > BIGINT_MAX || BigInt(part) < -BIGINT_MAX) throw invalidCursor();
    return BigInt(part);
  });
  if (formatPageCursor(shape, key) !== cursor) throw invalidCursor();
  return key;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function invalidCursor() {
  return apiError('PAGE_CURSOR_INVALID', 'Not a cursor of this list. Pass one back exactly as it was received.');
}
