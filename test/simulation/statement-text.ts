/** What can be seen of a statement from its text. */
export type Verb = 'begin' | 'commit' | 'rollback' | 'statement';

/** What a statement does to its transaction. */
export function verbOf(statement: string): Verb {
  if (statement === 'begin' || statement.startsWith('start transaction')) return 'begin';
  if (statement === 'commit' || statement === 'rollback') return statement;
  return 'statement';
}

/** Whether what it commits can concern an invariant: not reading, giving up, or who holds a lease. */
export function mayChange(statement: string): boolean {
  return !/^\s*(select|rollback)|"lease"/i.test(statement);
}

const LABEL_LENGTH = 70;

/** The beginning of a statement, on one line; free of values. */
export function labelOf(statement: string): string {
  return statement.replaceAll(/\s+/g, ' ').trim().slice(0, LABEL_LENGTH);
}
