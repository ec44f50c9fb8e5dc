/** How Daml code refuses: `failWithStatus` with an error id, and plain assertions. */
import { cantonError } from '../ledger/canton-error.ts';

type DamlFailureCategory = 'invalidRequest' | 'invalidState';

/** @param errorId such as `splice.lfdecentralizedtrust.org/insufficient-funds`. */
export function damlFailure(errorId: string, category: DamlFailureCategory, text: string): Error {
  return cantonError({
    code: 'DAML_FAILURE',
    category,
    text: `Interpretation error: Error: User failure: ${errorId} (error category ${category === 'invalidState' ? 9 : 8}): ${text}`,
    metadata: { error_id: errorId },
    definiteAnswer: true,
  });
}

/** @throws CantonError UNHANDLED_EXCEPTION when `condition` is false: Daml's `require`. */
export function requireThat(condition: boolean, text: string): void {
  if (condition) return;
  throw cantonError({
    code: 'UNHANDLED_EXCEPTION',
    category: 'invalidState',
    text: `Interpretation error: The requirement '${text}' was not met.`,
    definiteAnswer: true,
  });
}
