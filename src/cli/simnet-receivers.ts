/** Whom the simulated network lets be paid directly: a transfer without the receiver's preapproval would only be an offer. */
import type { Simnet } from '../simnet/simnet.ts';

/** What the customers of the commands `dev` and `simnet` are paid in. */
export const WITHDRAWN_INSTRUMENT = 'amulet';

/** Every customer takes direct transfers of {@link WITHDRAWN_INSTRUMENT} from then on. */
export function preapproveCustomers({ network, customers }: Pick<Simnet, 'network' | 'customers'>): void {
  for (const { party } of customers) network.preapprove({ instrument: WITHDRAWN_INSTRUMENT, receiver: party });
}

/** As {@link preapproveCustomers}, but for the last customer, who has never heard of preapprovals: he accepts, a moment after he was made an offer. */
export function preapproveAllButOne({ network, customers, receivers }: Simnet): void {
  preapproveCustomers({ network, customers: customers.slice(0, -1) });
  const last = customers.at(-1);
  if (last !== undefined) receivers.set({ party: last.party, does: 'accept', afterMs: OFFER_NOTICED_MS });
}

const OFFER_NOTICED_MS = 4_000; // Long enough to be seen on a screen.
