/**
 * One schedule: real ingestion, books, deposits and event log of one to three processes against the real database and the simulated network, everything in an
 * order that follows from the seed.
 *
 * Safety phase: traffic flows and faults strike. Liveness phase: the faults end, and everything must arrive. Then the processes are asked to end, and the
 * invariants that need rest are looked at.
 */
import { createDatabase } from '../../src/db/connection.ts';
import type { Micros } from '../../src/env/clock.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { type CatalogConfig, registerCatalog } from '../../src/ingestion/catalog.ts';
import { forgetCrashes } from '../../src/ingestion/crash-guard.ts';
import type { StreamSettings } from '../../src/ingestion/stream-worker.ts';
import { createNetwork, TREASURY } from '../../src/simnet/network.ts';
import { registerMemos } from '../support/ingestion.ts';
import { type Anchor, createAnchor } from './anchor.ts';
import { type Backups, prepareBackups } from './backups.ts';
import { createDatabaseAccess } from './database-access.ts';
import { createDice, type Dice } from './dice.ts';
import { strike } from './fate.ts';
import { drawFaultPlan, type FaultSwitches } from './fault-plan.ts';
import { createFeedReader } from './feed-reader.ts';
import { createHalts } from './halts.ts';
import { createHiding } from './hiding.ts';
import { createLastMoment, createPinnedClock } from './last-moment.ts';
import { createLostHistory } from './lost-history.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { payByOffers } from './offer-policy.ts';
import { createOrders, DIRECT, OFFERED } from './orders.ts';
import type { Stall } from './outside-calls.ts';
import { createPayees } from './payees.ts';
import { createPayouts } from './payouts.ts';
import { createPolicies } from './policies.ts';
import { createProcess, type Process } from './process.ts';
import { createReferee } from './referee.ts';
import { prepareReset } from './reset.ts';
import { createScheduler } from './scheduler.ts';
import { serveLoop } from './serve-loop.ts';
import { createServerSessions, type ServerSessions } from './server-sessions.ts';
import { createSubscribers } from './subscribers.ts';
import { ACCEPTED, createTraffic, MEMOS } from './traffic.ts';
import { createTruth } from './truth.ts';
import { Violation } from './violation.ts';

export type Report = {
  readonly seed: number;
  /** Null: all was well. */
  readonly violation: Violation | null;
  readonly steps: number;
  /** The step at which the faults ended. */
  readonly calmAt: number;
  /** The step at which they began. */
  readonly troubleAt: number;
  readonly virtualMs: number;
  readonly updates: number;
  readonly traceHash: string;
  /** Of the event log at the end; empty after a violation. */
  readonly logHash: string;
  /** What was drawn, in words. */
  readonly description: string;
  readonly trace: readonly string[];
};

export type Simulation = {
  run(seed: number, marks: Marks, switches?: FaultSwitches): Promise<Report>;
  close(): Promise<void>;
};

const START: Micros = 1_767_225_600_000_000n; // 2026-01-01T00:00:00Z
type Range = readonly [least: number, most: number];
type Size = {
  readonly safetySteps: Range;
  readonly quietSteps: number;
  readonly operations: Range;
  readonly orders: Range;
  readonly tries: number;
  readonly instances: readonly number[];
};

/** How much there is in a schedule: its faults strike during enough steps for most of its traffic to be ingested. Small ones find most of what there is to find, and many of them are run in the time of a large one. */
const SIZES: Readonly<Record<'small' | 'large', Size>> = {
  small: {
    safetySteps: [100, 350],
    quietSteps: 400,
    operations: [3, 14],
    orders: [0, 4],
    tries: 4,
    instances: [1, 2, 2, 3],
  },
  large: {
    safetySteps: [300, 1_000],
    quietSteps: 600,
    operations: [10, 40],
    orders: [0, 10],
    tries: 6,
    instances: [1, 2, 2, 3, 3],
  },
};
const LARGE = 0.08;
const CROWDED = 0.04;
/** How often all processes but one are asked to end when the faults have: what is left to do can be done by one, and what they leave behind is its to find. */
const SHRINKS = 0.75;
const TRIES_STEPS_MAX = 500; // To wait for tries; what is done in them needs not be done later.
const CALM_STEPS_MAX = 20_000; // Rest comes within some 500, or 9,000 where long attempts must lapse one after the other; who needs more never comes to rest.

const BLIND_STEPS_MAX = 800;
const RESTORES_MAX = 2;

/** Opens what all schedules share: the server's connections. The database must be migrated, and nobody else may use it. */
export async function openSimulation(connectionString: string): Promise<Simulation> {
  const logger = createSystemLogger('silent');
  const shape = createDatabase({ connectionString, applicationName: 'simulation', poolSizeMax: 1, logger });
  const server = await createServerSessions(shape.pool.options);
  const reset = await prepareReset(server.observer);
  const backups = await prepareBackups(server.observer);
  return {
    run: async (seed, marks, switches = {}) => {
      await reset();
      await registerMemos(shape.db, NETWORK, MEMOS);
      return await runSchedule({ seed, marks, switches, connectionString, server, backups, db: shape.db });
    },
    close: async () => {
      await shape.close();
      await server.close();
    },
  };
}

type ScheduleOptions = {
  readonly seed: number;
  readonly marks: Marks;
  readonly switches: FaultSwitches;
  readonly connectionString: string;
  readonly server: ServerSessions;
  readonly backups: Backups | null;
  readonly db: ReturnType<typeof createDatabase>['db'];
};

async function runSchedule(options: ScheduleOptions): Promise<Report> {
  const { seed, marks, switches, connectionString, server, db } = options;
  const dice = (purpose: string): Dice => createDice(seed, purpose);
  const shape = dice('shape');
  const scheduler = createScheduler({
    dice: dice('schedule'),
    startMicros: START,
    hurry: shape.pick([0, 0.005, 0.02, 0.1]),
    stickiness: shape.pick([0, 0.5, 0.9]),
  });
  const size = SIZES[shape.chance(LARGE) ? 'large' : 'small'];
  const faults = drawFaultPlan(dice, switches);
  let violation: Violation | null = null;
  const onViolation = (found: Violation): void => {
    violation ??= found;
  };

  const networkClock = createPinnedClock(scheduler.clock);
  const network = createNetwork({
    seed: NETWORK,
    clock: networkClock.clock,
    random: dice('network'),
    participants: [
      { name: 'participant1', firstOffset: BigInt(shape.integer(0, 50)), offsetStepMax: shape.integer(1, 4) },
    ],
    checkpoints: { busyMs: 2_000, idleMs: 9_000 },
  });
  const participant = network.participant('participant1');
  // Another synchronizer has a clock of its own, and says nothing about ours.
  if (shape.chance(0.4)) network.addSynchronizer('other').jumpTime(30_000_000n);
  const party = network.party(TREASURY);
  const truth = createTruth({ network, participant, party });
  const catalog: CatalogConfig = {
    network: NETWORK,
    treasuries: [{ name: TREASURY, party }],
    instruments: network.tokens
      .filter(({ name }) => ACCEPTED.includes(name))
      .map(({ name, instrumentId }) => ({ name, ...instrumentId })),
  };
  const orders = createOrders({
    network,
    networkName: NETWORK,
    dice: dice('orders'),
    marks,
    clock: scheduler.clock,
    counts: size.orders,
  });
  const traffic = createTraffic({
    network,
    dice: dice('traffic'),
    withdrawalIds: () => orders.all().flatMap(({ ids }) => [...ids]),
  });
  const lastMoment = createLastMoment({ scheduler, network, networkClock, truth, dice: dice('last moment'), marks });
  const halts = createHalts();
  const hiding = createHiding({ faults, dice: dice('hiding'), marks, payees: orders.payees });
  const anchors: Anchor[] = [];
  const lostHistory = createLostHistory({
    // Who is not shown a payment cannot make it anew.
    backups: hiding.mode === 'NOTHING' ? options.backups : null,
    observer: server.observer,
    faults,
    dice: dice('lost history'),
    marks,
    anchors,
    disconnect: async () => await database.release(),
    crashAll: () => {
      for (const process of processes) process.crash('database lost');
    },
    onWentBack: () => {
      referee.wentBack();
      orders.askAgain();
    },
  });
  const policies = createPolicies({ network, faults, dice: dice('policies'), marks, orders });
  const payouts = await createPayouts({
    policies,
    wasWritten: lostHistory.wasWritten,
    lastMoment,
    halts,
    network,
    participant: () => participant,
    faults,
    dice: dice('payouts'),
    marks,
    orders,
    truth,
    observer: server.observer,
  });
  await truth.catchUp();
  // Known before any process starts, as on a running installation; each start registers it once more.
  const [{ id: treasuryId } = { id: 0 }] = await registerCatalog(db, catalog);
  await policies.begin(db, scheduler.clock);
  await payByOffers(db, network.instrument(OFFERED), shape.pick([60, 90]));

  const reader =
    lostHistory.isOn || faults.isDrawn('subscribers')
      ? createSubscribers({ dice: dice('subscribers'), faults, marks })
      : createFeedReader();
  const referee = createReferee({
    observer: server.observer,
    db,
    truth,
    traffic,
    orders,
    halts,
    marks,
    hidden: hiding.mode,
    received: reader.all,
  });
  const processes: Process[] = [];
  const database = createDatabaseAccess({
    connectionString,
    scheduler,
    server,
    faults,
    dice: dice('database'),
    marks,
    onCrash: (actor) => processes.find((process) => process.owns(actor))?.crash('statement'),
    onPause: (actor) => processes.find((process) => process.owns(actor))?.pause(),
    onCommitted: async () => {
      await referee.afterCommit();
      await lostHistory.afterCommit();
    },
    onViolation,
    ...(lostHistory.isOn && { walPosition: lostHistory.walPosition }),
  });
  const settings: Partial<StreamSettings> = {
    batchCountMax: shape.pick([1, 3, 8, 500]),
    leaseTtlMs: shape.pick([2_000, 5_000, 10_000]),
    silenceMsMax: 12_000,
  };
  const drawnInstances = shape.pick(size.instances);
  // More of them cost more steps and seldom meet anything else.
  const crowd = dice('crowd');
  const instances = crowd.chance(CROWDED) ? crowd.pick([4, 5]) : drawnInstances;
  const poolSize = shape.pick([1, 1, 2, 3]);
  const isSkewed = shape.chance(0.5);
  const stall: Stall = { untilMicros: 0n };
  const common = { seed, scheduler, database, participant, hiding, faults, marks, stall, onViolation };
  for (let index = 0; index < instances; index += 1) {
    const name = `sluice${index + 1}`;
    const anchor = lostHistory.isOn ? createAnchor(payouts.restoreWindow) : null;
    if (anchor !== null) anchors.push(anchor);
    processes.push(
      createProcess({
        ...common,
        name,
        anchor,
        dice: dice(name),
        skewMicros: isSkewed ? BigInt(shape.integer(-20_000, 20_000)) * 1_000n : 0n,
        lazyStretch: shape.integer(4, 20),
        poolSize,
        loop: serveLoop(catalog, settings, [payouts.extension, policies.extension]),
      }),
    );
  }
  processes.push(
    createProcess({
      ...common,
      name: 'reader',
      dice: dice('reader'),
      skewMicros: 0n,
      lazyStretch: 4,
      poolSize: 1,
      loop: reader.loop,
    }),
  );
  const description = [
    `${instances} instances, pool ${poolSize}${isSkewed ? ', skewed clocks' : ''}, batches of ${settings.batchCountMax}, lease ${settings.leaseTtlMs} ms`,
    faults.describe() || 'no faults',
  ].join('; ');

  let isCalm = false;
  let operationsLeft = shape.integer(...size.operations);
  let areCustomersDone = false;
  const customers = scheduler.createActor('customers');
  const meanMs = shape.logUniform(2, 500);
  const customersAct = (): void => {
    operationsLeft -= 1;
    scheduler.enqueue({
      actor: customers,
      label: 'act',
      delayMs: shape.next() * 2 * meanMs,
      run: async () => {
        const done = traffic.act();
        await truth.catchUp();
        if (operationsLeft > 0) customersAct();
        else areCustomersDone = true;
        return done;
      },
    });
  };
  const payees = createPayees({ network, dice: dice('payees'), marks });
  const payee = scheduler.createActor('payees');
  const payeesAct = (): void => {
    scheduler.enqueue({
      actor: payee,
      label: 'answer an offer',
      delayMs: shape.next() * 2_000,
      run: async () => {
        const done = payees.act();
        await truth.catchUp();
        payeesAct();
        return done === 'nothing' ? null : done;
      },
    });
  };
  let restoresLeft = hiding.mode === 'NOTHING' ? RESTORES_MAX : 0;
  const restoreNode = (): string => {
    if (restoresLeft === 0 || truth.updates().length < 2) return '';
    restoresLeft -= 1;
    participant.restore({ updatesBack: shape.integer(1, Math.min(6, truth.updates().length - 1)) });
    truth.renumbered();
    marks.add('node restored');
    return 'node restored';
  };
  const disrupt = (): void => {
    scheduler.enqueue({
      actor: scheduler.createActor('fate'),
      label: 'fate',
      delayMs: shape.next() * 1_500,
      run: async () => {
        if (isCalm) return null;
        disrupt();
        const restoreDatabase = lostHistory.strike;
        return await strike({ processes, dice: shape, faults, stall, scheduler, marks, restoreNode, restoreDatabase });
      },
    });
  };

  let logHash = '';
  let calmAt = 0;
  let troubleAt = 0;
  try {
    // Some schedules are struck from their first step, others once the first withdrawal is about to be paid. Until then one process is enough, and gets there soonest.
    const quietStepsMax = shape.chance(0.7) && orders.all().length > 0 ? size.quietSteps : 0;
    const [first, ...others] = processes;
    first?.start();
    if (quietStepsMax === 0) for (const process of others) process.start();
    customersAct();
    if (orders.haveOffers) payeesAct();
    disrupt();
    const step = async (): Promise<void> => {
      const isMore = await scheduler.step();
      // Submissions reach the ledger in steps of their own.
      await truth.catchUp();
      if (violation !== null) throw violation;
      if (!isMore) throw new Violation('somebody always has something to do', {});
    };

    while (scheduler.stepsCount() < quietStepsMax && !payouts.haveBegun()) await step();
    troubleAt = scheduler.stepsCount();
    if (quietStepsMax > 0) for (const process of others) process.start();
    faults.begin();
    const safetySteps = scheduler.stepsCount() + shape.integer(...size.safetySteps);
    // Long enough, too, for some tries at withdrawals: what they meet is what most of this is about.
    const triesWanted = orders.all().length === 0 ? 0 : shape.integer(1, size.tries);
    const isLongEnough = (): boolean =>
      scheduler.stepsCount() >= safetySteps &&
      (((payouts.tries() >= triesWanted || referee.areOrdersDone()) && lostHistory.hasStruck()) ||
        scheduler.stepsCount() >= safetySteps + TRIES_STEPS_MAX);
    while (!isLongEnough()) await step();

    isCalm = true;
    calmAt = scheduler.stepsCount();
    faults.end();
    stall.untilMicros = 0n;
    scheduler.calm();
    // Whatever is still asked for can be paid.
    network.tap({ instrument: DIRECT, owner: TREASURY, amount: '400' });
    await truth.catchUp();
    if (orders.haveOffers) network.tap({ instrument: OFFERED, owner: TREASURY, amount: '400' });
    await truth.catchUp();
    for (const process of processes) process.wake();
    const survivor = shape.chance(SHRINKS) ? shape.integer(1, instances) : null;
    if (survivor !== null)
      for (let index = 1; index <= instances; index += 1) if (index !== survivor) processes[index - 1]?.stop();
    while (!areCustomersDone) await step();
    for (let steps = 0; ; steps += 1) {
      if (steps % 20 === 0 && referee.isAtRest()) break;
      // The operator has looked; he does so once per halt.
      if (steps % 20 === 0 && referee.isHalted() && (await forgetCrashes(db, treasuryId))) {
        for (const process of processes) process.crash('operator');
      }
      // Whoever is kept in the dark may wait for ever.
      if (hiding.mode !== 'NOTHING' && steps > BLIND_STEPS_MAX) break;
      if (steps > CALM_STEPS_MAX)
        throw new Violation('everything arrives once faults have ended', await referee.describe());
      await step();
    }
    const end = async (some: readonly Process[]): Promise<void> => {
      for (const process of some) process.stop();
      for (let steps = 0; some.some((process) => !process.hasEnded()); steps += 1) {
        if (steps > CALM_STEPS_MAX) throw new Violation('a process ends when it is asked to', {});
        await step();
      }
    };
    // What is written by those who end is for those to hear who only read.
    await end(processes.slice(0, instances));
    for (let steps = 0; !referee.isReceived(); steps += 1) {
      if (steps > CALM_STEPS_MAX) throw new Violation('whoever reads hears of everything', await referee.describe());
      await step();
    }
    await end(processes.slice(instances));
    logHash = await referee.atRest();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error;
  }
  await database.release();
  return {
    seed,
    violation,
    steps: scheduler.stepsCount(),
    calmAt,
    troubleAt,
    virtualMs: Number((scheduler.clock.nowMicros() - START) / 1_000n),
    updates: truth.updates().length,
    traceHash: scheduler.traceHash(),
    logHash,
    description,
    trace: scheduler.trace(),
  };
}
