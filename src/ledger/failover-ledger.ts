/** The Ledger of one worker over several endpoints. Its sessions begin where the worker's own do: with the question which participant is there. */
import type { EndpointPool } from './endpoint-pool.ts';
import { createLedgerClient, type Ledger } from './ledger-client.ts';

/**
 * @returns a ledger for one worker. `participantId` chooses an endpoint, and every call after it goes there, until it is asked again; so whoever wants to move on after a failure
 * asks again, and proves again what it must know of the participant.
 */
export function createFailoverLedger(pool: EndpointPool): Ledger {
  const session = pool.openSession();
  const client = createLedgerClient(session.channel);
  return {
    ...client,
    participantId: async (preferred = null) => {
      const asked = new Set<number>();
      for (;;) {
        const endpoint = session.begin(preferred);
        const participantId = await client.participantId();
        const isBest = session.learned(participantId, preferred);
        if (isBest || participantId === preferred || asked.has(endpoint)) return participantId;
        asked.add(endpoint);
      }
    },
  };
}
