/**
 * Looks after what outlives a request: a socket or a stream ends when what proved its principal does. Its time is over, its key was revoked, or the issuer took back the key that signed its token.
 */
import type { Proof } from '../auth/credential.ts';
import type { Clock } from '../env/clock.ts';
import type { Principal } from '../schema/principal.ts';
import type { AuthorityEnd, AuthorityWatch } from './authority-end.ts';

export type Authority = AuthorityWatch & {
  /** Remembers what proved a principal, for as long as anybody has that object. */
  note(proof: Proof): Principal;
  count(): number;
  /** Looks until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
};

/** 250 ms: a revocation has a second, of which half goes by until the key is known to be revoked. Five thousand looks into a map take a millisecond. */
const LOOK_MS = 250;

export function createAuthority({ clock }: { readonly clock: Clock }): Authority {
  const proofs = new WeakMap<Principal, Proof>();
  const watched = new Map<symbol, { readonly proof: Proof; readonly end: (why: AuthorityEnd) => void }>();

  function endOf({ principal: { expiresAt }, isStanding }: Proof): AuthorityEnd | null {
    if (expiresAt !== null && expiresAt <= clock.nowMicros()) return 'TOKEN_EXPIRED';
    return isStanding() ? null : 'KEY_REVOKED';
  }

  function look(): void {
    for (const [id, { proof, end }] of watched) {
      const why = endOf(proof);
      if (why === null) continue;
      watched.delete(id);
      end(why);
    }
  }

  return {
    note: (proof) => {
      proofs.set(proof.principal, proof);
      return proof.principal;
    },
    watch: (principal, end) => {
      const proof = proofs.get(principal);
      if (proof === undefined) return () => undefined;
      const why = endOf(proof);
      if (why !== null) {
        end(why);
        return () => undefined;
      }
      const id = Symbol('watched');
      watched.set(id, { proof, end });
      return () => {
        watched.delete(id);
      };
    },
    count: () => watched.size,
    run: async (signal) => {
      while (!signal.aborted) {
        look();
        await clock.sleep(LOOK_MS, signal);
      }
    },
  };
}
