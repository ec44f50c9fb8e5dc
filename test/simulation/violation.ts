/** What must never happen has happened. Ends the schedule; its seed is the report. */
export class Violation extends Error {
  /** The invariant's short name. */
  readonly invariant: string;

  constructor(invariant: string, facts: unknown) {
    super(
      `${invariant}: ${JSON.stringify(facts, (_key, value) => (typeof value === 'bigint' ? String(value) : value))}`,
    );
    this.name = 'Violation';
    this.invariant = invariant;
  }
}

/** @throws Violation when `condition` is false. */
export function must(condition: boolean, invariant: string, facts: unknown = {}): asserts condition {
  if (!condition) throw new Violation(invariant, facts);
}
