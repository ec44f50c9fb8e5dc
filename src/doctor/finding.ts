/** What the doctor found: one thing that was looked at, how it is, what that means and what to do about it. */
import { messageOf } from '../env/errors.ts';

export type Outcome = 'OK' | 'WARN' | 'FAIL';

export type Finding = {
  /** Stable, for programs: `database.settings`. */
  readonly check: string;
  /** What of several it is about; null: there is one. */
  readonly subject: string | null;
  readonly outcome: Outcome;
  /** What was found. */
  readonly found: string;
  /** What follows from it, and what to do; null where all is well. */
  readonly todo: string | null;
};

export function ok(check: string, found: string, subject: string | null = null): Finding {
  return { check, subject, outcome: 'OK', found, todo: null };
}

export function warn(check: string, found: string, todo: string, subject: string | null = null): Finding {
  return { check, subject, outcome: 'WARN', found, todo };
}

export function fail(check: string, found: string, todo: string, subject: string | null = null): Finding {
  return { check, subject, outcome: 'FAIL', found, todo };
}

/** What `look` finds; a look that fails is a finding as well, and keeps no other from being taken. */
export async function looked(
  check: string,
  todo: string,
  look: () => Promise<readonly Finding[]>,
  subject: string | null = null,
): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    return [fail(check, `could not be looked at: ${messageOf(error)}`, todo, subject)];
  }
}

/** @returns the worst of them. */
export function worstOf(findings: readonly Finding[]): Outcome {
  if (findings.some(({ outcome }) => outcome === 'FAIL')) return 'FAIL';
  return findings.some(({ outcome }) => outcome === 'WARN') ? 'WARN' : 'OK';
}
