/**
 * Simnet in a process of its own, for the benchmark of withdrawals: a treasury with a key, a receiver with a preapproval, and as many holdings as are asked for. Argument: JSON of NetworkOptions. Each message
 * is a FundRequest as JSON, answered by one message.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { Clock } from '../src/env/clock.ts';
import { createSeededRandom } from '../src/env/random.ts';
import { createSystemLogger, systemClock } from '../src/env/system.ts';
import { TREASURY } from '../src/simnet/network.ts';
import { holdingsOf } from '../src/simnet/network-commands.ts';
import { startSimnet } from '../src/simnet/simnet.ts';
import { wallMicros } from './statistics.ts';

export type PaymentNetwork = {
  readonly url: string;
  readonly registryUrl: string;
  readonly synchronizerId: string;
  readonly treasury: string;
  readonly receiver: string;
  readonly instrument: { readonly admin: string; readonly id: string };
  readonly instrumentName: string;
};
export type NetworkOptions = { readonly privateKeyDer: string };
/** Answers from now on after so many milliseconds, where that is said, and makes so many holdings of ten for the treasury. @returns their contract ids. */
export type FundRequest = { readonly holdings: number; readonly answerMs?: number };

const { privateKeyDer }: NetworkOptions = JSON.parse(process.argv[2] ?? '{}');
const clock: Clock = { nowMicros: wallMicros, sleep: systemClock.sleep };
const { network, participants, registries } = await startSimnet({
  seed: 'bench-withdrawals',
  clock,
  random: createSeededRandom(1),
  logger: createSystemLogger('error'),
});
const key = createPrivateKey({ key: Buffer.from(privateKeyDer, 'base64'), format: 'der', type: 'pkcs8' });
network.registerKey(TREASURY, createPublicKey(key).export({ type: 'spki', format: 'der' }));
network.preapprove({ instrument: 'amulet', receiver: 'bob', generation: 'new' });
const instrument = network.instrument('amulet');

function treasuryHoldings(): readonly string[] {
  return holdingsOf(network.ledger.contracts, network.party(TREASURY), instrument).map(({ contractId }) => contractId);
}

process.on('message', (message: string) => {
  const { holdings, answerMs }: FundRequest = JSON.parse(message);
  if (answerMs !== undefined) network.participant('participant1').faults.submissions.set({ delayAnswersMs: answerMs });
  const before = new Set(treasuryHoldings());
  for (let index = 0; index < holdings; index += 1) {
    network.tap({ instrument: 'amulet', owner: TREASURY, amount: '10', generation: 'new' });
  }
  process.send?.(treasuryHoldings().filter((contractId) => !before.has(contractId)));
});

const ready: PaymentNetwork = {
  url: `http://${participants[0]?.grpcAddress}`,
  registryUrl: registries.find(({ admin }) => admin === instrument.admin)?.url ?? '',
  synchronizerId: network.synchronizerId,
  treasury: network.party(TREASURY),
  receiver: network.party('bob'),
  instrument,
  instrumentName: 'amulet',
};
process.send?.(ready);
