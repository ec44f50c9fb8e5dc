/**
 * Everybody who has a part in a schedule, as its seed draws them: the network and those who use it, one to five processes with their clocks, pools and faults, and the referee who looks at all of it.
 */
import type { createDatabase } from '../../src/db/connection.ts';
import type { Micros } from '../../src/env/clock.ts';
import { type CatalogConfig, registerCatalog } from '../../src/ingestion/catalog.ts';
import type { StreamSettings } from '../../src/ingestion/stream-worker.ts';
import { createNetwork, type Network, TREASURY } from '../../src/simnet/network.ts';
import { createAcceptances } from './acceptances.ts';
import { type Anchor, createAnchor } from './anchor.ts';
import type { Backups } from './backups.ts';
import { type Bystanders, createBystanders } from './bystanders.ts';
import { createDatabaseAccess, type DatabaseAccess } from './database-access.ts';
import { createDice, type Dice } from './dice.ts';
import { strike } from './fate.ts';
import { drawFaultPlan, type FaultPlan, type FaultSwitches } from './fault-plan.ts';
import { createFeedReader } from './feed-reader.ts';
import { createHalts } from './halts.ts';
import { createHiding, type Hiding } from './hiding.ts';
import { createLastMoment, createPinnedClock, type LastMoment } from './last-moment.ts';
import { createLostHistory, type LostHistory } from './lost-history.ts';
import type { Marks } from './marks.ts';
import { NETWORK } from './network-name.ts';
import { payByOffers } from './offer-policy.ts';
import { createOrders, DIRECT, OFFERED, OFFEREE, type Orders } from './orders.ts';
import type { Stall } from './outside-calls.ts';
import { createPayables } from './payables.ts';
import { createPayees } from './payees.ts';
import { createPayouts, type Payouts } from './payouts.ts';
import { createPolicies } from './policies.ts';
import { createPools } from './pools.ts';
import { createProcess, type Process } from './process.ts';
import { createReferee, type Referee } from './referee.ts';
import { SIZES, type Size } from './schedule-size.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';
import { createScreenings } from './screenings.ts';
import { serveLoop } from './serve-loop.ts';
import type { ServerSessions } from './server-sessions.ts';
import { createSubscribers } from './subscribers.ts';
import { ACCEPTED, createTraffic, SENDERS } from './traffic.ts';
import { createTruth, type Truth } from './truth.ts';
import type { Violation } from './violation.ts';
import { createWhatStood } from './what-stood.ts';

export type SceneOptions = {
  readonly seed: number;
  readonly marks: Marks;
  readonly switches: FaultSwitches;
  readonly connectionString: string;
  readonly server: ServerSessions;
  readonly backups: Backups | null;
  readonly db: ReturnType<typeof createDatabase>['db'];
  /** For the comparison with a rebuild (rebuilding.ts). */
  readonly rebuildDb: SceneOptions['db'];
};

export type Scene = {
  readonly shape: Dice;
  readonly size: Size;
  readonly scheduler: Scheduler;
  readonly faults: FaultPlan;
  readonly network: Network;
  readonly truth: Truth;
  readonly orders: Orders;
  readonly payouts: Payouts;
  readonly lastMoment: LastMoment;
  readonly lostHistory: LostHistory;
  readonly hiding: Hiding;
  readonly referee: Referee;
  readonly database: DatabaseAccess;
  readonly treasuryId: number;
  /** Those that serve; then the one that only reads. */
  readonly processes: readonly Process[];
  /** Whether people send deposits back. */
  readonly areSentBack: boolean;
  /** Whether anybody may be paid by an offer. */
  readonly areOffersMade: boolean;
  /** How many serve. */
  readonly instances: number;
  readonly stall: Stall;
  readonly bystanders: Bystanders;
  /** Of somebody who could not throw it; null: none. */
  violation(): Violation | null;
  /** What was drawn, in words. */
  readonly description: string;
};

/** The first time of a schedule. */
export const START: Micros = 1_767_225_600_000_000n; // 2026-01-01T00:00:00Z
const LARGE = 0.05;
const CROWDED = 0.04;
const RESTORES_MAX = 2;

/** Who sends takes what comes back at once, or, like others, in his own time or never. */
function takeBack(network: Network, dice: Dice): void {
  for (const receiver of SENDERS) if (dice.chance(0.75)) network.preapprove({ instrument: DIRECT, receiver });
}

/** Draws who and what there is in the schedule of a seed. Nothing moves before it is begun. */
export async function createScene(options: SceneOptions): Promise<Scene> {
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
  const hiding = createHiding({ faults, dice: dice('hiding'), marks, payees: orders.payees });
  // Who hides payments does not know of these.
  const areSentBack = faults.isDrawn('refunds') && hiding.mode === 'NOTHING';
  const traffic = createTraffic({
    network,
    truth,
    clock: scheduler.clock,
    dice: dice('traffic'),
    areAccepted: faults.isDrawn('acceptances'),
    areSentBack,
    withdrawalIds: () => orders.all().flatMap(({ ids }) => [...ids]),
  });
  const lastMoment = createLastMoment({ scheduler, network, networkClock, truth, dice: dice('last moment'), marks });
  const halts = createHalts(() => database.underWay());
  const anchors: Anchor[] = [];
  const whatStood = createWhatStood({ faults, dice: dice('what stood'), marks });
  const lostHistory = createLostHistory({
    whatStood,
    isRipe: () => !areSentBack || traffic.deposits().some(payables.isSentBack),
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
  const offerees = new Set([OFFEREE, ...(areSentBack ? SENDERS : [])].map((hint) => network.party(hint)));
  const areOffersMade = orders.haveOffers || areSentBack;
  if (areSentBack) takeBack(network, dice('refunds'));
  const payables = createPayables({ network, orders, traffic, areSentBack });
  const screenings = createScreenings({
    network,
    faults,
    dice: dice('screenings'),
    marks,
    payables,
    traffic,
    areSentBack,
    observer: server.observer,
  });
  const policies = createPolicies({ network, faults, dice: dice('policies'), marks, orders, payables, screenings });
  const pools = createPools({ network, truth, faults, dice: dice('pools'), marks });
  const payouts = await createPayouts({
    policies,
    pools,
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
  const acceptances = createAcceptances({
    network,
    truth,
    traffic,
    payouts,
    screenings,
    faults,
    dice: dice('acceptances'),
    marks,
  });
  await truth.catchUp();
  // Known before any process starts, as on a running installation; each start registers it once more.
  const [{ id: treasuryId } = { id: 0 }] = await registerCatalog(db, catalog);
  await policies.begin(db, scheduler.clock);
  if (lostHistory.isOn) await whatStood.begin(db, { clock: scheduler.clock, random: dice('keys') });
  await pools.begin(db, treasuryId, scheduler.clock.nowMicros());
  await payByOffers(db, network.instrument(OFFERED), shape.pick([60, 90]));

  const reader =
    lostHistory.isOn || faults.isDrawn('subscribers')
      ? createSubscribers({ dice: dice('subscribers'), faults, marks })
      : createFeedReader();
  const referee = createReferee({
    observer: server.observer,
    db,
    rebuildDb: options.rebuildDb,
    truth,
    traffic,
    orders,
    payables,
    halts,
    marks,
    pools,
    policies,
    acceptances,
    screenings,
    isRestoreNoticed: lostHistory.isNoticed,
    hidden: hiding.mode,
    received: reader.all,
    isFollowing: reader.isFollowing,
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
      if (await referee.afterCommit()) scheduler.changed();
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
  const extensions = [
    payouts.extension,
    acceptances.extension,
    policies.extension,
    ...(lostHistory.isOn ? [whatStood.extension] : []),
    ...(screenings.hasDesk ? [screenings.extension] : []),
  ];
  const { recoverOf } = payouts;
  const screenedSinceOf = screenings.isOn ? screenings.start : null;
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
        loop: serveLoop({ catalog, settings, extensions, screenedSinceOf, recoverOf }),
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
  let restoresLeft = hiding.mode === 'NOTHING' ? RESTORES_MAX : 0;
  const restoreNode = (): string => {
    if (restoresLeft === 0 || truth.updates().length < 2) return '';
    restoresLeft -= 1;
    participant.restore({ updatesBack: shape.integer(1, Math.min(6, truth.updates().length - 1)) });
    truth.renumbered();
    marks.add('node restored');
    return 'node restored';
  };
  const restoreDatabase = lostHistory.strike;
  const bystanders = createBystanders({
    scheduler,
    shape,
    operations: size.operations,
    traffic,
    payees: areOffersMade ? createPayees({ network, receivers: offerees, dice: dice('payees'), marks }) : null,
    truth,
    strike: async () =>
      await strike({ processes, dice: shape, faults, stall, scheduler, marks, restoreNode, restoreDatabase }),
  });
  return {
    shape,
    size,
    scheduler,
    faults,
    network,
    truth,
    orders,
    payouts,
    lastMoment,
    lostHistory,
    hiding,
    referee,
    database,
    treasuryId,
    processes,
    areSentBack,
    areOffersMade,
    instances,
    stall,
    bystanders,
    violation: () => violation,
    description,
  };
}
