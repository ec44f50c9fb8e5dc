/**
 * Pages of a list, by key and not by offset: a page begins after the last key of the one before, so rows that come or go in between
 * neither repeat nor hide others, and the thousandth page costs what the first one does.
 */
import { type RawBuilder, sql } from 'kysely';

/** The sort key of a row: what orders the list, and a last part that is unique. An amount is a part of its own kind: as text it would sort by its digits. */
export type PageKey = readonly (string | bigint | AmountKey)[];

/** Decimal text, as PostgreSQL prints it. */
export type AmountKey = { readonly amount: string };

export type PageRequest = {
  /** Rows wanted, 1–100. */
  readonly limit: number;
  /** Bounds in the list's own order, exclusive; null: none. */
  readonly after: PageKey | null;
  readonly before: PageKey | null;
  /** True: the last rows before `before` (or the end of the list), false: the first after `after` (or its start). */
  readonly isFromEnd: boolean;
};

/** Rows in the list's own order, whichever end they were read from. */
export type Page<Row> = { readonly rows: readonly Row[]; readonly isMore: boolean };

export const NO_ROWS: Page<never> = { rows: [], isMore: false };

export type SortOrder = 'ascending' | 'descending';

/** The statement parts that select one page: conditions on the key columns, their order, and one row more than wanted. */
export function keysetOf(
  columns: readonly RawBuilder<unknown>[],
  order: SortOrder,
  request: PageRequest,
): { readonly where: RawBuilder<boolean>; readonly orderBy: RawBuilder<unknown>; readonly limit: RawBuilder<unknown> } {
  const key = sql`(${sql.join(columns)})`;
  const isGreaterLater = order === 'ascending';
  const later = isGreaterLater ? sql`>` : sql`<`;
  const earlier = isGreaterLater ? sql`<` : sql`>`;
  const conditions = [sql<boolean>`true`];
  if (request.after !== null) conditions.push(sql`${key} ${later} ${valuesOf(request.after)}`);
  if (request.before !== null) conditions.push(sql`${key} ${earlier} ${valuesOf(request.before)}`);
  const direction = isGreaterLater === request.isFromEnd ? sql`DESC` : sql`ASC`;
  return {
    where: sql<boolean>`(${sql.join(conditions, sql` AND `)})`,
    orderBy: sql.join(columns.map((column) => sql`${column} ${direction}`)),
    limit: sql`${request.limit + 1}::int`,
  };
}

/** @param rows as selected with {@link keysetOf}: at most one more than wanted. */
export function pageOf<Row>(rows: readonly Row[], request: PageRequest): Page<Row> {
  const wanted = rows.slice(0, request.limit);
  return { rows: request.isFromEnd ? wanted.reverse() : wanted, isMore: rows.length > request.limit };
}

function valuesOf(key: PageKey): RawBuilder<unknown> {
  return sql`(${sql.join(key.map(boundOf))})`;
}

function boundOf(part: PageKey[number]): RawBuilder<unknown> {
  if (typeof part === 'bigint') return sql`${part}::bigint`;
  return typeof part === 'string' ? sql`${part}::text` : sql`${part.amount}::numeric`;
}
