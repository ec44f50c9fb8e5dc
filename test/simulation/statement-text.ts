/** What can be seen of a statement from its text and its result. */
import type pg from 'pg';

export type Verb = 'begin' | 'commit' | 'rollback' | 'statement';

/** What a statement does to its transaction. */
export function verbOf(statement: string): Verb {
  // Who acts may be told in the same breath.
  if (statement === 'begin' || /^(start transaction|begin;)/.test(statement)) return 'begin';
  if (statement === 'commit' || statement === 'rollback') return statement;
  return 'statement';
}

/** Whether it may have changed what an invariant is about: it touched rows, and not those that say who holds a lease. */
export function mayHaveChanged(
  statement: string,
  { command, rowCount, rows }: pg.QueryResult<Record<string, unknown>>,
): boolean {
  if (rowCount === null || rowCount === 0 || /"lease"/i.test(statement)) return false;
  if (command !== 'SELECT') return true;
  // Parts of a query may write; what they tell of it is a count of nothing where they did not.
  return (
    /\b(insert|delete|(?<!for |for no key )update)\b/i.test(statement) &&
    !rows.every((row) => Object.values(row).every((value) => value === 0))
  );
}

/** What is about to happen outside, as written down: how many submissions are sent once more, and hashes that a signature is asked for. */
export type Decided = { readonly tries: number; readonly hashes: readonly string[] };

/** Of a statement that was carried out. */
export function decidedBy(statement: string, parameters: readonly unknown[], { rowCount }: pg.QueryResult): Decided {
  const tries = statement.includes('SET tries = a.tries + 1') ? (rowCount ?? 0) : 0;
  const asked = statement.includes('INSERT INTO signed_hash') ? parameters.flat() : [];
  return { tries, hashes: asked.flatMap((each) => (Buffer.isBuffer(each) ? [each.toString('hex')] : [])) };
}

/** Whether it notifies by itself, and not by what follows from a change. */
export function mayNotify(statement: string): boolean {
  return statement.includes('pg_notify(');
}

/**
 * Whether nothing depends on when the server carries it out, as long as that is before the next statement of its session: the beginning of a transaction takes neither
 * a lock nor a snapshot, and savepoints let go of nothing unless they are rolled back to.
 */
export function isUnseen(statement: string): boolean {
  return verbOf(statement) === 'begin' || /^(savepoint|release) /i.test(statement);
}

const LABEL_LENGTH = 70;

const LABELS = new Map<string, string>();

/** The beginning of a statement, on one line; free of values. */
export function labelOf(statement: string): string {
  const known = LABELS.get(statement);
  if (known !== undefined) return known;
  const label = statement.replaceAll(/\s+/g, ' ').trim().slice(0, LABEL_LENGTH);
  LABELS.set(statement, label);
  return label;
}
