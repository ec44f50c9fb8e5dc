/**
 * When what a principal may do is over. Requests are checked one by one; a subscription goes on for days, so its socket is watched and ends with the token or the key it was opened with. Authority
 * ends per socket: whoever shares an execution with others (fan-out.ts) shares no end with them.
 */
import type { Principal } from '../schema/principal.ts';

/** Why, as the WebSocket’s close reason and as `code` of the last error of a stream. */
export type AuthorityEnd = 'TOKEN_EXPIRED' | 'KEY_REVOKED';

export type AuthorityWatch = {
  /**
   * Calls `end` once, when the authority of `principal` ends; at once, and before it returns, where it already has.
   * @returns a function that ends the watch: called when the socket has closed.
   */
  watch(principal: Principal, end: (why: AuthorityEnd) => void): () => void;
};

/** For principals whose authority ends with the process: keys of the configuration. */
export const unendingAuthority: AuthorityWatch = { watch: () => () => undefined };
