/**
 * One schedule: real ingestion, books, deposits, withdrawals and event log of one to five processes (scene.ts) against the real database and the simulated network, everything in an
 * order that follows from the seed.
 *
 * Safety phase: traffic flows and faults strike. Liveness phase: the faults end, and everything must arrive. Then the processes are asked to end, and the
 * invariants that need rest are looked at.
 */
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { forgetCrashes } from '../../src/ingestion/crash-guard.ts';
import { TREASURY } from '../../src/simnet/network.ts';
import { registerMemos } from '../support/ingestion.ts';
import { prepareBackups } from './backups.ts';
import type { FaultSwitches } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { oneProcessor } from './one-processor.ts';
import { DIRECT, OFFERED } from './orders.ts';
import type { Process } from './process.ts';
import { openRebuilding } from './rebuilding.ts';
import { prepareReset } from './reset.ts';
import { createScene, type Scene, START } from './scene.ts';
import { createServerSessions } from './server-sessions.ts';
import { MEMOS } from './traffic.ts';
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
  /** The step at which everything had arrived; 0: it never had. */
  readonly restAt: number;
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

/** How often all processes but one are asked to end when the faults have: what is left to do can be done by one, and what they leave behind is its to find. */
const SHRINKS = 0.9;
/** How often nobody ends in order, once everything has arrived: what they would do then is the same in all schedules. */
const ENDS_BY_KILL = 0.6;
const TRIES_STEPS_MAX = 500; // To wait for tries; what is done in them needs not be done later.
const REFUND_STEPS_MAX = 1_500; // To wait for a deposit to go back, where a database is to forget that it did;
const FORGOTTEN_STEPS = 250; // and for people to decide about it as if it had not.
const CALM_STEPS_MAX = 50_000; // Rest comes within some 500, or 9,000 where long attempts must lapse one after the other, or 23,000 where four look after the log until an offer that nobody answers is over; who needs more never comes to rest.

const BLIND_STEPS_MAX = 800;

/**
 * Opens what all schedules share: the server's connections. The database must be migrated, and nobody else may use it.
 * @param options.processor on which this process and its sessions are kept (one-processor.ts); null: anywhere.
 */
export async function openSimulation(
  connectionString: string,
  { processor = null }: { readonly processor?: number | null } = {},
): Promise<Simulation> {
  const logger = createSystemLogger('silent');
  const shape = createDatabase({ connectionString, applicationName: 'simulation', poolSizeMax: 1, logger });
  const server = await createServerSessions(shape.pool.options);
  const reset = await prepareReset(server.keeper);
  const backups = await prepareBackups(server.keeper);
  const rebuilding = await openRebuilding(connectionString);
  const home = oneProcessor(processor);
  home.keep([process.pid]);
  let newest: Scene | null = null;
  return {
    run: async (seed, marks, switches = {}) => {
      // Not right at its end: its report is still to be read.
      for (const process of newest?.processes ?? []) process.letGo();
      await reset();
      if (processor !== null) home.keep(await server.pids());
      await registerMemos(shape.db, NETWORK, MEMOS);
      const scene = await createScene({
        seed,
        marks,
        switches,
        connectionString,
        server,
        backups,
        db: shape.db,
        rebuildDb: rebuilding.db,
      });
      newest = scene;
      return await runSchedule(scene, seed, shape.db);
    },
    close: async () => {
      await shape.close();
      await rebuilding.close();
      await server.close();
    },
  };
}

async function runSchedule(scene: Scene, seed: number, db: Database): Promise<Report> {
  const { shape, size, scheduler, faults, network, truth, orders, payouts, lostHistory, hiding, referee } = scene;
  const { database, processes, instances, stall, bystanders, treasuryId } = scene;
  let violation: Violation | null = null;
  let logHash = '';
  let calmAt = 0;
  let troubleAt = 0;
  let restAt = 0;
  try {
    // Some schedules are struck from their first step, others once the first withdrawal is about to be paid. Until then one process is enough, and gets there soonest.
    const quietStepsMax = shape.chance(0.7) && orders.all().length > 0 ? size.quietSteps : 0;
    const [first, ...others] = processes;
    first?.start();
    if (quietStepsMax === 0) for (const process of others) process.start();
    bystanders.begin();
    const step = async (): Promise<void> => {
      const isMore = await scheduler.step();
      // Submissions reach the ledger in steps of their own.
      await truth.catchUp();
      const found = scene.violation();
      if (found !== null) throw found;
      if (!isMore) throw new Violation('somebody always has something to do', {});
    };

    while (scheduler.stepsCount() < quietStepsMax && !payouts.haveBegun()) await step();
    troubleAt = scheduler.stepsCount();
    if (quietStepsMax > 0) for (const process of others) process.start();
    faults.begin();
    const safetySteps = scheduler.stepsCount() + shape.integer(...size.safetySteps);
    // Long enough, too, for some tries at withdrawals: what they meet is what most of this is about.
    const triesWanted = orders.all().length === 0 ? 0 : shape.integer(1, size.tries);
    const waitStepsMax = lostHistory.isOn && scene.areSentBack ? REFUND_STEPS_MAX : TRIES_STEPS_MAX;
    let forgottenAt: number | null = null;
    const isForgotten = (): boolean => {
      if (!lostHistory.isOn || !scene.areSentBack) return lostHistory.hasStruck();
      if (lostHistory.hasStruck()) forgottenAt ??= scheduler.stepsCount();
      return forgottenAt !== null && scheduler.stepsCount() >= forgottenAt + FORGOTTEN_STEPS;
    };
    const isLongEnough = (): boolean =>
      scheduler.stepsCount() >= safetySteps &&
      (((payouts.tries() >= triesWanted || referee.areOrdersDone()) && isForgotten()) ||
        scheduler.stepsCount() >= safetySteps + waitStepsMax);
    while (!isLongEnough()) await step();

    bystanders.calm();
    calmAt = scheduler.stepsCount();
    faults.end();
    stall.untilMicros = 0n;
    scheduler.calm();
    // Whatever is still asked for can be paid.
    network.tap({ instrument: DIRECT, owner: TREASURY, amount: '400' });
    await truth.catchUp();
    if (scene.areOffersMade) network.tap({ instrument: OFFERED, owner: TREASURY, amount: '400' });
    await truth.catchUp();
    for (const process of processes) process.wake();
    const survivor = shape.chance(SHRINKS) ? shape.integer(1, instances) : null;
    if (survivor !== null)
      for (let index = 1; index <= instances; index += 1) if (index !== survivor) processes[index - 1]?.stop();
    while (!bystanders.areCustomersDone()) await step();
    for (let steps = 0; ; steps += 1) {
      if (referee.isAtRest()) break;
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
    restAt = scheduler.stepsCount();
    scene.lastMoment.rest();
    if (shape.chance(ENDS_BY_KILL) && referee.isAtRest()) for (const process of processes) process.kill();
    // What is written by those who end is for those to hear who only read.
    await end(processes.slice(0, instances));
    for (let steps = 0; !referee.isReceived(); steps += 1) {
      if (steps > CALM_STEPS_MAX) throw new Violation('whoever reads hears of everything', await referee.describe());
      await step();
    }
    await end(processes.slice(instances));
    logHash = await referee.atRest();
    await lostHistory.atRest();
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
    restAt,
    virtualMs: Number((scheduler.clock.nowMicros() - START) / 1_000n),
    updates: truth.updates().length,
    traceHash: scheduler.traceHash(),
    logHash,
    description: scene.description,
    trace: scheduler.trace(),
  };
}
