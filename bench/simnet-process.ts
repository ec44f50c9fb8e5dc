/**
 * Simnet with customers in a process of its own. Argument: JSON of LiveOptions. Sends one message when it is ready; the customers start with the first message back.
 */
import type { Clock } from '../src/env/clock.ts';
import { createSeededRandom } from '../src/env/random.ts';
import { createSystemLogger, systemClock } from '../src/env/system.ts';
import { TREASURY } from '../src/simnet/network.ts';
import { startSimnet } from '../src/simnet/simnet.ts';
import type { LiveOptions, LiveReady } from './head-latency.ts';
import { wallMicros } from './statistics.ts';

const { activities, intervalMs }: LiveOptions = JSON.parse(process.argv[2] ?? '{}');
const clock: Clock = { nowMicros: wallMicros, sleep: systemClock.sleep };
const simnet = await startSimnet({
  seed: 'bench',
  clock,
  random: createSeededRandom(1),
  logger: createSystemLogger('error'),
  customers: { count: 20, intervalMs, activitiesMax: activities },
});
process.on('message', simnet.startCustomers);
const { network, participants, customers } = simnet;
const ready: LiveReady = {
  url: `http://${participants[0]?.grpcAddress}`,
  catalog: {
    network: 'bench-live',
    treasuries: [{ name: 'live', party: network.party(TREASURY) }],
    instruments: network.tokens.map(({ name, instrumentId }) => ({ name, ...instrumentId })),
  },
  memos: Object.fromEntries(customers.map(({ memo, name }) => [memo, name])),
};
process.send?.(ready);
