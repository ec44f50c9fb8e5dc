/**
 * Whether a party can be paid at all: some participant must host it and have vetted the packages of the token, or the ledger refuses every transfer to it. Vetting and hosting are topology, which every
 * participant of the synchronizer knows of all parties; no right is needed to ask.
 */
import { PermanentError } from '../env/errors.ts';
import { InteractiveSubmissionServiceService } from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Channel } from '../ledger/channel.ts';
import type { Reachability } from './outside-facts.ts';

/** What the participant says where no version is vetted by every host of the party, or none hosts it; which one depends on its line. */
const UNREACHABLE: ReadonlySet<string> = new Set(['NO_PREFERRED_PACKAGES_FOUND', 'PACKAGE_SELECTION_FAILED']);

/** Where nobody says what a token needs: every token of the standard implements this. */
const HOLDING_PACKAGE = 'splice-api-token-holding-v1';

/**
 * @throws RetryableError or PermanentError: nothing is known then.
 * @see Ledger API: InteractiveSubmissionService.GetPreferredPackages.
 */
export async function lookAtReceiver(
  call: Channel['call'],
  receiver: string,
  packages: readonly string[],
): Promise<Reachability> {
  const names = packages.length === 0 ? [HOLDING_PACKAGE] : packages;
  try {
    await call(InteractiveSubmissionServiceService.getPreferredPackages, {
      packageVettingRequirements: names.map((packageName) => ({ parties: [receiver], packageName })),
      synchronizerId: '',
      vettingValidAt: undefined,
    });
    return { kind: 'REACHABLE' };
  } catch (error) {
    if (!(error instanceof PermanentError) || !UNREACHABLE.has(error.code)) throw error;
    const detail = 'No participant that hosts the receiver has vetted the packages of this token, or none hosts it.';
    return { kind: 'UNREACHABLE', detail };
  }
}
