/**
 * Which faults a schedule knows and how often they strike. Which classes are on is drawn per seed, their rates spread over orders of magnitude ("swarm"): a schedule
 * with one fault gets further than one with all, and different bugs need different company.
 */
import type { Dice } from './dice.ts';

/** Smallest and largest rate per opportunity. Of a statement there are hundreds in a schedule, of a message or a failpoint dozens. */
const OFTEN = [0.001, 0.03] as const;
const SELDOM = [0.02, 0.4] as const;
/** Of what happens a few times in a schedule: a try at a withdrawal. */
const MOSTLY = [0.15, 0.9] as const;
/** Likewise, of what keeps a try from getting anywhere: the others must have their turn. */
const MIXED = [0.05, 0.5] as const;

const FAULTS = {
  /** A process dies at a named failpoint. */
  crashAtFailpoint: SELDOM,
  /** A process stops at a named failpoint and goes on later, when others have taken over. */
  pauseAtFailpoint: SELDOM,
  /** A process dies before or after a statement. */
  crashAtStatement: OFTEN,
  pauseAtStatement: OFTEN,
  /** A process dies at any time. */
  crash: SELDOM,
  /** A process stops for a while and goes on as if nothing had happened. */
  pause: SELDOM,
  /** The statement is carried out, its answer never arrives. */
  answerLost: OFTEN,
  /** Likewise of a COMMIT, which is what everything hangs on. */
  commitAnswerLost: SELDOM,
  /** The connection breaks before the statement is carried out. */
  connectionCut: OFTEN,
  /** The caller is told of a broken connection, and the server carries the statement out later all the same. */
  lateStatement: OFTEN,
  lateCommit: SELDOM,
  /** The server refuses a statement for a reason of its own. */
  statementError: OFTEN,
  /** Statements take their time. */
  slowStatement: OFTEN,
  /** A new connection is refused. */
  connectRefused: SELDOM,
  /** The update stream ends or fails between two messages. */
  streamTorn: SELDOM,
  messageTwice: SELDOM,
  messageLate: SELDOM,
  /** Unary calls fail, before or after the participant answered. */
  callFailed: SELDOM,
  /** The participant falls silent. */
  participantStall: SELDOM,
  hintLost: SELDOM,
  /** A submission is on its way, and its answer never arrives. */
  executeUnanswered: MOSTLY,
  /** The participant accepts a submission and never sends it on. */
  executeDropped: MOSTLY,
  executeTwice: MOSTLY,
  /** It is sequenced long after it was accepted, perhaps past its last record time. */
  executeLate: MOSTLY,
  /** It commits in the last microsecond it may, after another update of that same microsecond. */
  executeAtTarget: MOSTLY,
  /** What is prepared is not what was asked for. */
  prepareLies: MIXED,
  /** It is carried out, and the answer says that it failed. */
  executeLies: MOSTLY,
  /** The completion of a submission says what is not so, or never comes. */
  completionLies: MOSTLY,
  /** A registry claims that the receiver takes offers only. */
  registrySaysOffer: MIXED,
  /** A registry names another factory. */
  registryLies: MIXED,
  signerDown: MIXED,
  /** The signature comes when the process had better not use it any more. */
  signatureLate: MIXED,
  signatureLost: MIXED,
  signatureWrong: MIXED,
  signerRefuses: MIXED,
  /** The treasury's key changes; what the old one signed and is not sequenced yet is refused. */
  keyRotated: MIXED,
  /** People who operate Sluice: kill switches, holds, cancellations. */
  operatorHalts: MIXED,
  operatorCancels: MIXED,
  /** They hold and park withdrawals, let them go, and want others tried at once. */
  operatorStops: MIXED,
  /** Payments of ours are left out of the stream, or out of the active contracts as well. */
  updatesHidden: SELDOM,
  contractsHidden: SELDOM,
  /** The participant is put back to a backup: the same updates come again, at other offsets. */
  nodeRestored: SELDOM,
  /** The database is put back to an earlier commit, and everybody has gone on since. */
  databaseRestored: SELDOM,
  /** A policy that denies some withdrawals and asks people about others; people who do what people do. */
  policies: SELDOM,
  /** Several subscribers read the log as those of the API do, are cut off in the middle of what they are given, and come back with their cursors. */
  subscribers: SELDOM,
  /** Offers to the treasury are accepted by Sluice, and people who decide about offers. */
  acceptances: SELDOM,
  /** The treasury's funds are in pieces, and a pool of large ones is kept: merges and splits on the path that pays. */
  pools: SELDOM,
  /** A screening service is asked about deposits, and about withdrawals where there is a policy; people decide what it denied, and it does what such services do. */
  screening: SELDOM,
  /** People at the desk, who send back what nobody could be credited with, or say whose it is. */
  refunds: SELDOM,
} as const;

export type FaultClass = keyof typeof FAULTS;

export type FaultPlan = {
  /** Whether the fault strikes now. */
  strikes(fault: FaultClass): boolean;
  isOn(fault: FaultClass): boolean;
  /** Whether the schedule knows the fault at all, now or at another time. */
  isDrawn(fault: FaultClass): boolean;
  /** Rates of what is on, for the report of a failure. */
  describe(): string;
  /** Nothing strikes before. */
  begin(): void;
  /** From now on nothing strikes. */
  end(): void;
  isOver(): boolean;
};

/** What keeps nobody from arriving, and so goes on when the others have ended. */
const LASTING: ReadonlySet<string> = new Set<FaultClass>(['executeTwice', 'executeLate', 'executeAtTarget']);
/** How many of the classes a schedule has on. With many of them nobody gets anywhere, with few of them rare company is rarer still. */
const ON = [0.05, 0.15, 0.4] as const;
/** The faults around withdrawals only strike who gets that far. */
const ON_MOSTLY = [0.1, 0.25, 0.5] as const;

/** What changes a schedule as a whole: in which part of them it is on. */
const SHARES: ReadonlyMap<string, number> = new Map<FaultClass, number>([
  ['updatesHidden', 0.03],
  ['contractsHidden', 0.03],
  ['databaseRestored', 0.06],
  ['subscribers', 0.15],
  ['policies', 0.12],
  ['pools', 0.15],
  ['acceptances', 0.12],
  ['screening', 0.08],
  ['refunds', 0.1],
]);
/** What a database can forget of a refund is most of what can go wrong with one. */
const RESTORED_WITH_REFUNDS = 0.2;

/** Classes that are on or off whatever the seed says: how a failure is narrowed down, and a mistake given the company it needs to show. */
export type FaultSwitches = { readonly on?: ReadonlySet<string>; readonly off?: ReadonlySet<string> };

export function drawFaultPlan(dice: (purpose: string) => Dice, switches: FaultSwitches): FaultPlan {
  const on = dice('faults').pick(ON);
  const onMostly = dice('faults around withdrawals').pick(ON_MOSTLY);
  const isRestoredToo =
    dice('fault/refunds').chance(SHARES.get('refunds') ?? 0) &&
    dice('restored with refunds').chance(RESTORED_WITH_REFUNDS);
  const drawn = Object.entries(FAULTS).map(([name, [least, most]]) => {
    const own = dice(`fault/${name}`);
    const share = least === MOSTLY[0] || least === MIXED[0] ? onMostly : on;
    const isDrawn = own.chance(SHARES.get(name) ?? share) || (name === 'databaseRestored' && isRestoredToo);
    const isOn = (isDrawn || switches.on?.has(name) === true) && switches.off?.has(name) !== true;
    return { name, dice: own, rate: isOn ? own.logUniform(least, most) : 0 };
  });
  const byName = new Map<string, (typeof drawn)[number]>(drawn.map((fault) => [fault.name, fault]));
  let isOver = true;
  return {
    strikes: (name) => {
      const fault = byName.get(name);
      return fault?.dice.chance(fault.rate) === true && (!isOver || LASTING.has(name));
    },
    isOn: (name) => !isOver && (byName.get(name)?.rate ?? 0) > 0,
    isDrawn: (name) => (byName.get(name)?.rate ?? 0) > 0,
    describe: () =>
      drawn
        .filter(({ rate }) => rate > 0)
        .map(({ name, rate }) => `${name} ${rate.toFixed(3)}`)
        .join(', '),
    begin: () => {
      isOver = false;
    },
    end: () => {
      isOver = true;
    },
    isOver: () => isOver,
  };
}
