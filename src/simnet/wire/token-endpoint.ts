/**
 * The token endpoint of the network's identity provider: OAuth 2.0 client credentials (RFC 6749, section 4.4), where the client's id is the
 * user's id on the Ledger API. Any secret will do: whom the participant lets in is decided by its users, not here.
 */
import { PermanentError } from '../../env/errors.ts';
import type { AccessControls } from '../access/users.ts';

export const TOKEN_PATH = '/oauth/token';

/** Its code is one of the error codes of RFC 6749, section 5.2. */
class TokenRefusal extends PermanentError {}

export function isTokenRefusal(error: unknown): error is TokenRefusal {
  return error instanceof TokenRefusal;
}

/** @throws TokenRefusal, to be answered with status 400. */
export function answerTokenRequest(
  access: Pick<AccessControls, 'issueToken'>,
  form: URLSearchParams,
): { readonly access_token: string; readonly token_type: 'Bearer'; readonly expires_in: number } {
  if (form.get('grant_type') !== 'client_credentials')
    throw new TokenRefusal('unsupported_grant_type', 'Only client_credentials are granted.');
  const user = form.get('client_id') ?? '';
  if (user === '' || (form.get('client_secret') ?? '') === '')
    throw new TokenRefusal('invalid_client', 'client_id and client_secret are needed.');
  const audience = form.get('audience');
  const { token, expiresInMs } = access.issueToken({ user, ...(audience === null ? {} : { audience }) });
  return { access_token: token, token_type: 'Bearer', expires_in: Math.trunc(expiresInMs / 1_000) };
}
