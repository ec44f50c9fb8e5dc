/** The variables that point a Sluice at one participant of a simulated network. */

import { TREASURY } from '../simnet/network.ts';
import type { RunningParticipant, Simnet } from '../simnet/simnet.ts';

/** The network's name, as SLUICE_NETWORK has it. */
export const SIMNET_NAME = 'simnet';

/** Ready for a process environment; all instruments of the network are accepted. */
export function environmentFor(
  { network }: Simnet,
  { grpcAddress }: RunningParticipant,
): Readonly<Record<'SLUICE_LEDGER_URL' | 'SLUICE_NETWORK' | 'SLUICE_TREASURY_PARTIES' | 'SLUICE_INSTRUMENTS', string>> {
  const instruments = network.tokens.map(({ name, instrumentId: { admin, id } }) => `${name}=${admin}/${id}`);
  return {
    SLUICE_LEDGER_URL: `http://${grpcAddress}`,
    SLUICE_NETWORK: SIMNET_NAME,
    SLUICE_TREASURY_PARTIES: network.party(TREASURY),
    SLUICE_INSTRUMENTS: instruments.join(','),
  };
}
