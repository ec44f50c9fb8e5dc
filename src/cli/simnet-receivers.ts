/** Whom the simulated network lets be paid directly: a transfer without the receiver's preapproval would only be an offer. */
import type { Simnet } from '../simnet/simnet.ts';

/** What the customers of the commands `dev` and `simnet` are paid in. */
export const WITHDRAWN_INSTRUMENT = 'amulet';

/** Every customer takes direct transfers of {@link WITHDRAWN_INSTRUMENT} from then on. */
export function preapproveCustomers({ network, customers }: Simnet): void {
  for (const { party } of customers) network.preapprove({ instrument: WITHDRAWN_INSTRUMENT, receiver: party });
}
