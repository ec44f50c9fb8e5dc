/**
 * Schedules: each is a fault in a system at work, drawn from the seed, and what makes the system meet it. Whoever runs them looks at rest what became of it. What a schedule began it also ends.
 */
import { FAILPOINTS, type FailpointName } from '../../src/env/failpoint.ts';
import type { Random } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import type { Sluice } from './sluice.ts';
import type { World } from './world.ts';

/** What is counted of it in the end. */
export type FaultKind = 'kill' | 'zombie' | 'postgres' | 'network' | 'other';

export type Schedule = {
  readonly name: string;
  readonly kind: FaultKind;
  /** @returns where it struck, for the table: the failpoint, or `random`. */
  run(world: World): Promise<string>;
};

/** Points that `serve` passes while it works in the ordinary way, and what brings it there. */
const WORK: Readonly<Partial<Record<FailpointName, (world: World) => Promise<void>>>> = {
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
const isLapse = (name: FailpointName): boolean => name.endsWith('.afterLapse');

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
      { deadlineMs: 60_000 },
    );
  }
  for (const order of mine) await world.cancel(order);
}

/** Rather another place than a long wait: a third hit of a rare point may never come. */
const STRIKE_MS = 6_000;

/** Whichever of them comes there strikes itself. @returns whether one did. */
async function struck(sluices: readonly Sluice[], deadlineMs: number): Promise<boolean> {
  const deadline = systemClock.nowMicros() + BigInt(deadlineMs) * 1_000n;
  while (systemClock.nowMicros() < deadline) {
    if (sluices.some((sluice) => sluice.takeStruck().length > 0)) return true;
    await systemClock.sleep(10);
  }
  return false;
}

function pick<T>(random: Random, list: readonly T[]): T {
  const chosen = list[Math.floor(random.next() * list.length)];
  if (chosen === undefined) throw new Error('Nothing to pick from.');
  return chosen;
}

/** Every instance is armed; the first that comes there for the n-th time dies there, and the others are told to live. */
export function killAt(name: FailpointName, hit: number): Schedule {
  return {
    name: `SIGKILL at ${name}, hit ${hit}`,
    kind: 'kill',
    run: async (world) => {
      const { sluices, network } = world;
      await Promise.all(sluices.map((sluice) => sluice.serving()));
      for (const sluice of sluices) sluice.takeStruck();
      for (const sluice of sluices) sluice.arm({ name, hit, signal: 'SIGKILL' });
      if (isLapse(name)) await network.submissionFaults({ dropExecutes: { next: 2 } });
      const working = WORK[name]?.(world) ?? world.traffic();
      const isStruck = await struck(sluices, isLapse(name) ? 3 * STRIKE_MS : STRIKE_MS);
      for (const sluice of sluices) sluice.arm(null);
      await working;
      await network.calm();
      if (isStruck) return name;
      // Not so often at work in one process: then at this moment.
      pick(world.random, sluices).signal('SIGKILL');
      return 'random';
    },
  };
}

export function killAtRandom(): Schedule {
  return {
    name: 'SIGKILL at a random moment',
    kind: 'kill',
    run: async (world) => {
      const working = world.traffic();
      await systemClock.sleep(world.random.next() * 300);
      pick(world.random, world.sluices).signal('SIGKILL');
      await working;
      return 'random';
    },
  };
}

/** Nobody is left, and all start anew. */
export function killAll(): Schedule {
  return {
    name: 'SIGKILL of all instances at once',
    kind: 'kill',
    run: async (world) => {
      const working = world.traffic();
      await systemClock.sleep(world.random.next() * 200);
      for (const sluice of world.sluices) sluice.signal('SIGKILL');
      await working;
      return 'all';
    },
  };
}

/** One stands still at that point for longer than its lease, and goes on when others have done its work. */
export function zombieAt(name: FailpointName, stillMs: number): Schedule {
  return {
    name: `SIGSTOP at ${name} for ${stillMs} ms`,
    kind: 'zombie',
    run: async (world) => {
      const { sluices, balancer } = world;
      await Promise.all(sluices.map((sluice) => sluice.serving()));
      for (const sluice of sluices) sluice.takeStruck();
      for (const sluice of sluices) sluice.arm({ name, hit: 1, signal: 'SIGSTOP' });
      const working = WORK[name]?.(world) ?? world.traffic();
      await struck(sluices, STRIKE_MS);
      for (const sluice of sluices) sluice.arm(null);
      const frozen = sluices.filter((sluice) => sluice.isStopped());
      if (frozen.length === 0) {
        const chosen = pick(world.random, sluices);
        chosen.signal('SIGSTOP');
        frozen.push(chosen);
      }
      // Its clients would wait for it; a balancer that looks after its targets cuts them.
      balancer.cut(1, world.random);
      await systemClock.sleep(stillMs);
      // All of them, and before the work is waited for: where everybody came there, nobody is left to do it.
      for (const sluice of sluices) sluice.signal('SIGCONT');
      await working;
      await world.traffic({ deposits: 1, withdrawals: 1 });
      return name;
    },
  };
}

export const killPostmaster: Schedule = {
  name: 'SIGKILL of the postmaster',
  kind: 'postgres',
  run: async (world) => {
    const working = world.traffic();
    await systemClock.sleep(world.random.next() * 200);
    await world.server.killPostmaster();
    await working;
    return 'postmaster';
  },
};

export const killBackend: Schedule = {
  name: 'SIGKILL of a database backend',
  kind: 'postgres',
  run: async (world) => {
    const working = world.traffic();
    await systemClock.sleep(world.random.next() * 200);
    await world.server.killBackend();
    await working;
    return 'backend';
  },
};

export const terminateBackends: Schedule = {
  name: 'connections ended by the database',
  kind: 'postgres',
  run: async (world) => {
    const working = world.traffic();
    for (let round = 0; round < 3; round += 1) {
      await systemClock.sleep(world.random.next() * 150);
      await world.server.terminateBackends(world.random.next());
    }
    await working;
    return 'terminated';
  },
};

export const readOnlyDatabase: Schedule = {
  name: 'read-only database',
  kind: 'postgres',
  run: async (world) => {
    await world.server.setReadOnly(true);
    await world.network.deposit(3, 0.3);
    await systemClock.sleep(500 + world.random.next() * 1_000);
    await world.server.setReadOnly(false);
    await world.traffic();
    return 'read-only';
  },
};

/** A fault of connections, for a while, in front of the participant or of the database. */
function connections(name: string, kind: FaultKind, fault: (world: World) => Promise<void>): Schedule {
  return {
    name,
    kind,
    run: async (world) => {
      await world.network.deposit(2, 0.3);
      await Promise.all([fault(world), world.traffic()]);
      return name;
    },
  };
}

const proxies = ['ledger', 'database'] as const;
const proxyOf = (world: World, which: (typeof proxies)[number]) =>
  which === 'ledger' ? world.ledger : world.server.proxy;

export const CONNECTION_FAULTS: readonly Schedule[] = proxies.flatMap((which) => [
  connections(`${which}: connections reset`, 'network', async (world) => {
    for (let round = 0; round < 4; round += 1) {
      proxyOf(world, which).cut();
      await systemClock.sleep(world.random.next() * 200);
    }
  }),
  connections(`${which}: nobody listens`, 'network', async (world) => {
    await proxyOf(world, which).refuse();
    await systemClock.sleep(300 + world.random.next() * 700);
    await proxyOf(world, which).admit();
  }),
  connections(`${which}: black hole that heals`, 'network', async (world) => {
    proxyOf(world, which).silence();
    await systemClock.sleep(500 + world.random.next() * 2_000);
    proxyOf(world, which).speak();
  }),
  connections(`${which}: accepts and never speaks`, 'network', async (world) => {
    proxyOf(world, which).hold();
    proxyOf(world, which).cut();
    await systemClock.sleep(300 + world.random.next() * 1_000);
    proxyOf(world, which).unhold();
    proxyOf(world, which).cut();
  }),
  connections(`${which}: chopped into pieces`, 'network', async (world) => {
    proxyOf(world, which).chop(1 + Math.floor(world.random.next() * 60));
    proxyOf(world, which).cut();
    await systemClock.sleep(1_000);
    proxyOf(world, which).chop(Number.POSITIVE_INFINITY);
  }),
]);

/** The work is done and the answer lost, of half of all calls. */
export const lostAnswers: Schedule = {
  name: 'participant: half of all answers lost',
  kind: 'network',
  run: async (world) => {
    await world.network.submissionFaults({ losePrepareAnswers: { share: 0.5 }, loseExecuteAnswers: { share: 0.5 } });
    await world.traffic({ withdrawals: 4 });
    await systemClock.sleep(500);
    await world.network.calm();
    return 'lost answers';
  },
};

export const twiceExecuted: Schedule = {
  name: 'participant: submissions sequenced twice, updates delivered twice',
  kind: 'network',
  run: async (world) => {
    await world.network.submissionFaults({ duplicateExecutes: { share: 1 } });
    await world.network.disturb({ kind: 'duplicate' }, 5);
    await world.traffic({ withdrawals: 4 });
    await systemClock.sleep(300);
    await world.network.calm();
    return 'twice';
  },
};

export const stalledParticipant: Schedule = {
  name: 'participant: no call answered, no stream says anything',
  kind: 'network',
  run: async (world) => {
    await world.network.misbehave('stall');
    await world.traffic();
    await systemClock.sleep(500 + world.random.next() * 1_500);
    await world.network.calm();
    return 'stall';
  },
};

export const endedStreams: Schedule = {
  name: 'participant: streams end',
  kind: 'network',
  run: async (world) => {
    const working = world.traffic();
    await world.network.misbehave('endStreams');
    await working;
    await world.network.misbehave('endStreams');
    return 'ended';
  },
};

export const restoredParticipant: Schedule = {
  name: 'participant restored: it numbers its updates anew',
  kind: 'other',
  run: async (world) => {
    await world.traffic();
    await world.network.restore(5);
    await world.network.misbehave('endStreams');
    await world.traffic();
    return 'restored';
  },
};

export const killedSigner: Schedule = {
  name: 'SIGKILL of the signer',
  kind: 'kill',
  run: async (world) => {
    const working = world.traffic({ withdrawals: 3 });
    await systemClock.sleep(world.random.next() * 100);
    await world.signer.kill();
    await working;
    return 'signer';
  },
};

export const rotatedKey: Schedule = {
  name: 'the signer comes back with another key',
  kind: 'other',
  run: async (world) => {
    const working = world.traffic({ withdrawals: 3 });
    await world.signer.rotate();
    await working;
    return 'rotated';
  },
};

const DATABASE_FAULTS = [killPostmaster, killBackend, terminateBackends, readOnlyDatabase];
const PARTICIPANT_FAULTS = [lostAnswers, twiceExecuted, stalledParticipant, endedStreams];

const isScreened = (name: FailpointName): boolean => name.startsWith('screening.');

/**
 * For a world without screening, in an order of the seed: every kind of fault, and kills at a share of the failpoints, which other tests strike one by one.
 * @param share 1: at every failpoint; 3: at every third.
 */
export function shortPlan(random: Random, share: number): readonly Schedule[] {
  const offset = Math.floor(random.next() * share);
  const points = POINTS.filter((name) => !isScreened(name)).filter((_, index) => index % share === offset);
  return shuffled(random, [
    ...points.map((name) => killAt(name, 1)),
    // Beside faults of the connections they do not always come to rest in time; test/ingestion/zombie.test.ts and test/withdrawals/kill.test.ts have them alone.
    ...(share === 1
      ? [zombieAt('withdrawals.beforeExecute', 3_000), zombieAt('ingestion.afterEffectsBeforeCommit', 3_000)]
      : []),
    killAll(),
    killAtRandom(),
    ...DATABASE_FAULTS,
    ...CONNECTION_FAULTS,
    ...PARTICIPANT_FAULTS,
    killedSigner,
    rotatedKey,
  ]);
}

/** Points of this world. */
const pointsIn = ({ isScreening }: World): readonly FailpointName[] =>
  POINTS.filter((name) => isScreening || !isScreened(name));

/** One schedule, drawn. Lapses are rare: each takes as long as an attempt may still commit. */
export function drawKill(world: World): Schedule {
  const { random } = world;
  const dice = random.next();
  const hit = 1 + Math.floor(random.next() * 3);
  if (dice < 0.03) return killAt(pick(random, LAPSES), 1);
  if (dice < 0.7) return killAt(pick(random, pointsIn(world)), hit);
  if (dice < 0.9) return killAtRandom();
  return dice < 0.95 ? killAll() : killedSigner;
}

export function drawZombie(world: World): Schedule {
  const { random } = world;
  // Past the lease, or past the last moment at which its attempt may commit.
  return zombieAt(pick(random, pointsIn(world)), random.next() < 0.7 ? 3_000 : 10_000);
}

export function drawPostgres({ random }: World): Schedule {
  return random.next() < 0.5 ? killPostmaster : killBackend;
}

/** Of everything there is. */
export function drawAny(world: World): Schedule {
  const { random } = world;
  const dice = random.next();
  if (dice < 0.35) return drawKill(world);
  if (dice < 0.45) return drawZombie(world);
  if (dice < 0.6) return pick(random, DATABASE_FAULTS);
  if (dice < 0.85) return pick(random, CONNECTION_FAULTS);
  return pick(random, [...PARTICIPANT_FAULTS, rotatedKey, restoredParticipant]);
}

function shuffled<T>(random: Random, list: readonly T[]): readonly T[] {
  return list
    .map((item) => ({ item, at: random.next() }))
    .sort((left, right) => left.at - right.at)
    .map(({ item }) => item);
}
