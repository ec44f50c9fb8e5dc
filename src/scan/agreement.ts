/** When several instances agree. Failures are no answers: they agree with nobody, not even with each other. */

/** Per instance: what matters of its answer; null: it failed; undefined: nothing yet. */
export type Prints = readonly (string | null | undefined)[];

export type Agreement =
  | { readonly kind: 'AGREED'; readonly print: string }
  /** No answer that is still possible would do. */
  | { readonly kind: 'REFUSED' }
  | { readonly kind: 'OPEN' };

/**
 * An answer counts when all but at most `faultsMax` instances gave it. So it was given by at least `faultsMax + 1` of them, one of which at least is honest where no more than `faultsMax` are not; and where more
 * are not, they cannot outvote the honest ones either, but at worst keep us from an answer.
 * @param faultsMax less than half of the instances.
 */
export function agreementOf(prints: Prints, faultsMax: number): Agreement {
  const needed = prints.length - faultsMax;
  const counts = new Map<string, number>();
  let pending = 0;
  for (const print of prints) {
    if (print === undefined) pending += 1;
    else if (print !== null) counts.set(print, (counts.get(print) ?? 0) + 1);
  }
  let most = 0;
  for (const [print, count] of counts) {
    if (count >= needed) return { kind: 'AGREED', print };
    most = Math.max(most, count);
  }
  return most + pending < needed ? { kind: 'REFUSED' } : { kind: 'OPEN' };
}
