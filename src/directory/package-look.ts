/**
 * Whether every participant that hosts a treasury knows and has vetted the packages of a token. Where one lacks a package the ledger refuses each transfer of the token, ours and our
 * customers'. Uploading and vetting is the node operators' business: nothing here ever uploads a package.
 */
import { PermanentError } from '../env/errors.ts';
import { InteractiveSubmissionServiceService } from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Channel } from '../ledger/channel.ts';
import type { MissingPackage } from '../read/tokens.ts';

const UNKNOWN = 'PACKAGE_NAMES_NOT_FOUND';
/** What the participant says where no version is vetted by every host of the party; which of the two depends on its line. */
const NOT_VETTED: ReadonlySet<string> = new Set(['NO_PREFERRED_PACKAGES_FOUND', 'PACKAGE_SELECTION_FAILED']);

/**
 * Asks package by package, because the answer for several names none.
 * @param call of a participant that hosts the treasuries: vetting is topology, which each of them knows of all.
 * @throws RetryableError or PermanentError: nothing is known then.
 * @see Ledger API: InteractiveSubmissionService.GetPreferredPackages.
 */
export async function missingPackages(
  call: Channel['call'],
  {
    treasuries,
    packages,
  }: {
    readonly treasuries: readonly { readonly name: string; readonly party: string }[];
    readonly packages: readonly string[];
  },
): Promise<readonly MissingPackage[]> {
  const missing: MissingPackage[] = [];
  for (const { name: treasury, party } of treasuries) {
    for (const packageName of packages) {
      try {
        await call(InteractiveSubmissionServiceService.getPreferredPackages, {
          packageVettingRequirements: [{ parties: [party], packageName }],
          synchronizerId: '',
          vettingValidAt: undefined,
        });
      } catch (error) {
        const why = reasonOf(error);
        if (why === null) throw error;
        missing.push({ package: packageName, treasury, why });
      }
    }
  }
  return missing;
}

/** @returns null for an error that says nothing about packages. */
function reasonOf(error: unknown): string | null {
  if (!(error instanceof PermanentError)) return null;
  if (error.code === UNKNOWN) return 'unknown to the participant that was asked';
  return NOT_VETTED.has(error.code) ? 'no version is vetted by every participant that hosts the party' : null;
}
