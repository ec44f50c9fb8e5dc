/** What a treasury party sees of an hour's traffic on simnet, kept as the bytes in which the participant sends it: deposits by customers, offers, and payouts. */
import { createSeededRandom } from '../src/env/random.ts';
import { createSystemLogger, systemClock } from '../src/env/system.ts';
import type { CatalogConfig } from '../src/ingestion/catalog.ts';
import { updateFormatFor } from '../src/ingestion/update-format.ts';
import { createLedgerClient } from '../src/ledger/ledger-client.ts';
import { TREASURY } from '../src/simnet/network.ts';
import { type Simnet, startSimnet } from '../src/simnet/simnet.ts';

export type Recording = {
  readonly catalog: CatalogConfig;
  /** Memo → the customer's account. */
  readonly memos: Readonly<Record<string, string>>;
  readonly participantId: string;
  /** GetUpdatesResponse messages with a transaction each, in order of offsets. */
  readonly messages: readonly Buffer[];
};

/** Large enough that the offsets of a replay take as many bytes as the recorded ones (see replay.ts). */
const FIRST_OFFSET = 2n ** 28n;
const CUSTOMERS = 50;
/** Every so many deposits the treasury pays one out, which spends holdings. */
const DEPOSITS_PER_PAYOUT = 10;

/** @param updatesMin at least so many. Simnet makes some hundreds in a second. */
export async function recordTraffic(updatesMin: number): Promise<Recording> {
  let deposits = 0;
  const simnet: Simnet = await startSimnet({
    seed: 'bench',
    clock: systemClock,
    random: createSeededRandom(1),
    logger: createSystemLogger('error'),
    participants: [{ name: 'participant1', firstOffset: FIRST_OFFSET }],
    customers: {
      count: CUSTOMERS,
      intervalMs: 0,
      onActivity: ({ kind, instrument, amount, customer }) => {
        deposits += 1;
        if (kind === 'direct' && deposits % DEPOSITS_PER_PAYOUT === 0) {
          simnet.network.transfer({ instrument, sender: TREASURY, receiver: customer.party, amount });
        }
      },
    },
  });
  const { network, participants, customers } = simnet;
  const [participant] = participants;
  if (participant === undefined) throw new Error('Simnet has no participant.');
  const ledger = createLedgerClient({ url: `http://${participant.grpcAddress}` });
  const leaving = new AbortController();
  try {
    simnet.startCustomers();
    const format = updateFormatFor(network.party(TREASURY));
    const messages: Buffer[] = [];
    for await (const { message, bytes } of ledger.updates({ beginExclusive: 0n, format, signal: leaving.signal })) {
      if (message.update?.$case === 'transaction') messages.push(Buffer.from(bytes));
      if (messages.length >= updatesMin) break;
    }
    return {
      catalog: {
        network: 'bench',
        treasuries: [{ name: TREASURY, party: network.party(TREASURY) }],
        instruments: network.tokens.map(({ name, instrumentId }) => ({ name, ...instrumentId })),
      },
      memos: Object.fromEntries(customers.map(({ memo, name }) => [memo, name])),
      participantId: participant.participantId,
      messages,
    };
  } finally {
    leaving.abort();
    ledger.close();
    await simnet.stop();
  }
}
