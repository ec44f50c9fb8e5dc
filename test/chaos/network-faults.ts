/** What befalls connections and the participant. */
import { systemClock } from '../../src/env/system.ts';
import type { FaultKind, Schedule } from './schedule.ts';
import type { World } from './world.ts';

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
  connections(`${which}: connections ended in order`, 'network', async (world) => {
    for (let round = 0; round < 3; round += 1) {
      proxyOf(world, which).finish();
      await systemClock.sleep(world.random.next() * 200);
    }
  }),
  connections(`${which}: one side closed`, 'network', async (world) => {
    for (let round = 0; round < 3; round += 1) {
      proxyOf(world, which).finishAnswers();
      await systemClock.sleep(world.random.next() * 200);
    }
  }),
  connections(`${which}: everything comes late`, 'network', async (world) => {
    proxyOf(world, which).delay(20 + Math.floor(world.random.next() * 200));
    await systemClock.sleep(1_500);
    proxyOf(world, which).delay(0);
  }),
  connections(`${which}: cut in the middle of answers`, 'network', async (world) => {
    for (let round = 0; round < 4; round += 1) {
      proxyOf(world, which).cutAfter(Math.floor(world.random.next() * 5_000));
      await systemClock.sleep(world.random.next() * 500);
    }
    proxyOf(world, which).cutAfter(null);
  }),
]);

/** The token ends before there is a new one, calls are refused, and so are streams; then there is one. */
export const rotatedToken: Schedule = {
  name: 'participant: the token has ended, and there is a new one',
  kind: 'network',
  run: async (world) => {
    world.later(world.traffic());
    await world.token.expire();
    await systemClock.sleep(200 + world.random.next() * 1_500);
    await world.token.renew();
    await world.traffic();
    return 'token';
  },
};

/** As by a user's rights being written anew: streams are told to come again. */
export const changedRights: Schedule = {
  name: 'participant: rights are given anew',
  kind: 'network',
  run: async (world) => {
    world.later(world.traffic());
    await world.network.giveRights();
    await world.token.renew();
    return 'rights';
  },
};

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
