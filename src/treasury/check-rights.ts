/** Asks a participant what the user of our token may do, with that token. */
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import { UserManagementServiceService } from '../gen/com/daml/ledger/api/v2/admin/user_management_service.ts';
import type { Channel } from '../ledger/channel.ts';
import { judgeRights, type Need, type RightsFinding } from './ledger-rights.ts';

export type RightsCheck =
  | { readonly kind: 'CHECKED'; readonly user: string; readonly findings: readonly RightsFinding[] }
  /** The participant does not say: it has no user management, or demands no tokens. */
  | { readonly kind: 'UNKNOWN'; readonly why: string };

/**
 * A user may list his own rights without being an administrator; with an empty user id the participant takes the one of the token.
 * @throws RetryableError where the participant does not answer at all.
 */
export async function checkRights(
  call: Channel['call'],
  options: { readonly parties: readonly string[]; readonly needs: readonly Need[] },
): Promise<RightsCheck> {
  try {
    const own = { userId: '', identityProviderId: '' };
    const { user } = await call(UserManagementServiceService.getUser, own);
    const { rights } = await call(UserManagementServiceService.listUserRights, own);
    const id = user?.id ?? '';
    return { kind: 'CHECKED', user: id, findings: judgeRights(id, rights, options) };
  } catch (error) {
    if (saysNothing(error)) return { kind: 'UNKNOWN', why: messageOf(error) };
    throw error;
  }
}

function saysNothing(error: unknown): boolean {
  if (error instanceof PermanentError) return true;
  const status = error instanceof RetryableError ? error.facts['grpcStatus'] : undefined;
  return status === 'UNIMPLEMENTED' || status === 'PERMISSION_DENIED' || status === 'UNAUTHENTICATED';
}
