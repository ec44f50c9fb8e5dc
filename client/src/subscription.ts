/** One subscription over one connection; nothing here comes back by itself. */
import type { Request } from './http.ts';

/**
 * @param onOpen called when the connection stands, before the first answer.
 * @returns the answers as they come, `{ data, errors }` each. Ends when the server completes it.
 * @throws ClientError: DISCONNECTED however the connection ended, UNAUTHORIZED, ANSWERED_WITH_ERRORS where it was refused.
 */
export type Subscribe = (
  request: Request,
  options: { readonly signal: AbortSignal; readonly onOpen: () => void },
) => AsyncGenerator<unknown, void, undefined>;
