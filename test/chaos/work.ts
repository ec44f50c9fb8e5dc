/** What brings Sluice to each of its named points: the work that passes it. */
import { FAILPOINTS, type FailpointName } from '../../src/env/failpoint.ts';
import { eventually } from '../support/eventually.ts';
import type { World } from './world.ts';

/** Points that `serve` passes while it works in the ordinary way, and what brings it there. */
export const WORK: Readonly<Partial<Record<FailpointName, (world: World) => Promise<void>>>> = {
  ...pointsOf('ingestion', async (world) => await world.traffic()),
  ...pointsOf('eventLog', async (world) => await world.traffic()),
  ...pointsOf('screening', async (world) => await world.traffic({ deposits: 4 })),
  ...pointsOf('withdrawals', async (world) => await withdrawTo(world, 'bob')),
  ...pointsOf('offers', async (world) => await world.traffic({ deposits: 4, offers: 1, withdrawals: 1 })),
  ...pointsOf('selfTransfers', async (world) => await movePool(world)),
  ...pointsOf('returns', async (world) => await takeBack(world)),
};

function pointsOf(group: string, work: (world: World) => Promise<void>) {
  return Object.fromEntries(FAILPOINTS.filter((name) => name.startsWith(`${group}.`)).map((name) => [name, work]));
}

/** Points that are passed only where an attempt runs out of time. */
export const isLapse = (name: FailpointName): boolean => name.endsWith('.afterLapse');

/** Points that all work passes. */
export const isCommon = (name: FailpointName): boolean =>
  ['ingestion.', 'eventLog.', 'withdrawals.'].some((group) => name.startsWith(group)) && !isLapse(name);

export const POINTS: readonly FailpointName[] = FAILPOINTS.filter((name) => WORK[name] !== undefined && !isLapse(name));
export const LAPSES: readonly FailpointName[] = FAILPOINTS.filter((name) => WORK[name] !== undefined && isLapse(name));

async function withdrawTo(world: World, ...payees: readonly ('bob' | 'carol' | 'dave')[]): Promise<void> {
  for (const payee of [...payees, ...payees, ...payees]) await world.withdraw(payee);
}

async function movePool(world: World): Promise<void> {
  await world.changePool();
  await world.network.fund(2, '500');
  await world.traffic({ withdrawals: 1 });
}

/** Offers that nobody takes, and whose money is wanted back. */
async function takeBack(world: World): Promise<void> {
  const before = world.orders.length;
  for (let each = 0; each < 2; each += 1) await world.withdraw('erin');
  const mine = world.orders.slice(before).filter(({ payee }) => payee === 'erin');
  for (const { key } of mine) {
    await eventually(
      async () => {
        const { state } = await world.server.db
          .selectFrom('withdrawal')
          .select('state')
          .where('idempotency_key', '=', key)
          .executeTakeFirstOrThrow();
        if (state !== 'OFFERED') throw new Error(`${key} is ${state}`);
      },
      { deadlineMs: 180_000 }, // Faults go on meanwhile.
    );
  }
  for (const order of mine) await world.cancel(order);
}
