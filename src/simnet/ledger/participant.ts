/** One participant of the network: its history, its Ledger API, and the switches that make it misbehave. */
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import type { Transaction } from '../../gen/com/daml/ledger/api/v2/transaction.ts';
import { withAuthorization } from '../access/authorization.ts';
import type { Users } from '../access/users.ts';
import { type AdminApi, createAdminApi } from '../admin/admin-api.ts';
import type { PartyAllocations } from '../admin/party-allocation.ts';
import { sortedUnion, stakeholdersOf } from '../daml/contract.ts';
import { addSeenPackages, recordedUpdate } from '../recorded/recorded-update.ts';
import { createCompletionLog } from '../submission/completions.ts';
import type { PartyKeys } from '../submission/party-keys.ts';
import type { Replan } from '../submission/prepare-lies.ts';
import type { Sequencing } from '../submission/sequencing.ts';
import { createSubmissionApi } from '../submission/submission-api.ts';
import { createSubmissionFaults } from '../submission/submission-faults.ts';
import { createTraffic, type TrafficControls } from '../submission/traffic.ts';
import { createFaults, type FaultControls, SHUTDOWN } from './faults.ts';
import { createIntake, type IntakeControls, type IntakeItem, type IntakePace } from './intake.ts';
import type { Ledger } from './ledger.ts';
import { createLedgerApi, type LedgerApi } from './ledger-api.ts';
import type { PackageDirectory } from './package-directory.ts';
import { createParticipantHistory, type OffsetSteps } from './participant-history.ts';
import type { NamedSynchronizer, Synchronizer } from './synchronizer.ts';
import type { LedgerUpdate } from './update.ts';
import type { CheckpointCadence } from './update-stream.ts';
import type { Vetting } from './vetting.ts';

export type ParticipantOptions = {
  readonly name: string;
  readonly participantId: string;
  /** Its own stream of randomness, for its offsets. */
  readonly random: Random;
  readonly clock: Clock;
  /** The one on which it submits. */
  readonly synchronizer: Synchronizer;
  /** All that it is connected to. */
  readonly synchronizers: () => readonly NamedSynchronizer[];
  readonly packages: PackageDirectory;
  readonly vetting: Vetting;
  readonly cadence: CheckpointCadence;
  readonly knownParties: () => readonly string[];
  readonly firstOffset: bigint;
  readonly offsetStepMax: number;
  readonly nodeIdGap: number;
  readonly updatesMax: number | undefined;
  /** The network's, which is built after its participants. */
  readonly ledger: () => Ledger;
  readonly keys: PartyKeys;
  readonly sequencing: Sequencing;
  readonly replan: Replan;
  /** Draws faults and transaction uuids: apart from offsets, which stay the same whatever is submitted. */
  readonly submissionRandom: Random;
  /** Draws which calls are refused. */
  readonly faultRandom: Random;
  readonly deduplicationMs: number | undefined;
  /** Who may call. */
  readonly users: Users;
  /** External parties that are being made on the network. */
  readonly allocations: PartyAllocations;
};

export type Participant = {
  readonly name: string;
  readonly participantId: string;
  /** The Ledger API without sockets. */
  readonly api: LedgerApi;
  /** What administrators ask of it, without sockets. */
  readonly admin: AdminApi;
  readonly faults: FaultControls;
  /** What it may send; not metered until somebody says so. */
  readonly traffic: TrafficControls;
  host(party: string): void;
  isHosted(party: string): boolean;
  hostedParties(): readonly string[];
  /** Whether it has the contract, active or not. */
  knows(contractId: string): boolean;
  /** @returns undefined for an update that it does not have (yet), or has pruned. */
  offsetOf(updateId: string): bigint | undefined;
  /** @returns the offset it got, or undefined when none of its parties sees it, or it does not come to it now. */
  append(update: LedgerUpdate): bigint | undefined;
  /**
   * Puts a transaction of another network into this participant's history, as its reader saw it: same ids, times and node numbers, at an
   * offset of this participant. Hosts the parties that see it.
   * @returns the offset.
   */
  appendRecorded(transaction: Transaction): bigint | undefined;
  ledgerEnd(): bigint;
  /** Up to and including; 0 when nothing is pruned. */
  prunedUpTo(): bigint;
  /** Forgets history up to and including `offset`. */
  prune(offset: bigint): void;
  /** Lets the ledger end move on without an update, as commands that fail and topology changes do. @returns the ledger end. */
  skipOffsets(count: bigint): bigint;
  /** How it follows the network: hold it, let it go on step by step, release it. */
  readonly intake: IntakeControls;
  /**
   * Goes back to an older state and catches up from the network again, as a validator restored from a backup: same updates, other offsets.
   * Streams end, completions since then and all memory of submissions are gone; until it has caught up it refuses submissions.
   * @returns how many updates wait to be replayed.
   * @throws PermanentError SIMNET_CANNOT_GO_BACK; nothing is changed.
   */
  restore(request: RestoreRequest): { readonly ledgerEnd: bigint; readonly behind: number };
  /** Stops following the network, for good: streams end, calls are answered from what it has. */
  leave(): void;
  /** Ends what runs by itself. */
  close(): void;
};

/** Where to: the offset at which the backup's ledger ended, or a number of updates before now. */
export type RestoreRequest = ({ readonly to: bigint } | { readonly updatesBack: number }) & {
  /** `atOnce` when left out. */
  readonly catchUp?: IntakePace;
  /** Whether updates get new offsets, each one another than before (when left out), or the ones they had. */
  readonly numbering?: 'fresh' | 'same';
  /** Distances between neighbouring offsets from now on; as before when left out. Small ones put new updates below positions reached earlier. */
  readonly offsetSteps?: OffsetSteps;
  /** The network lost it too, as after a fork: what came after the backup never comes again. */
  readonly losesTail?: boolean;
};

export function createParticipant(options: ParticipantOptions): Participant {
  const { name, participantId, clock, packages, synchronizer, cadence, knownParties } = options;
  const history = createParticipantHistory(options);
  const { synchronizerId } = synchronizer;
  const networkTimes = (): ReadonlyMap<string, bigint> =>
    new Map(options.synchronizers().map((each) => [each.synchronizerId, each.observe()]));
  const intake = createIntake({ clock, observe: networkTimes });
  const recordTimes = (): ReadonlyMap<string, bigint> => intake.recordTimes() ?? networkTimes();
  const submissionFaults = createSubmissionFaults({ random: options.submissionRandom, clock });
  const faults = createFaults({ clock, random: options.faultRandom, submissions: submissionFaults });
  const completions = createCompletionLog(synchronizerId);
  const traffic = createTraffic({ clock });
  const allParties = (): readonly string[] => sortedUnion(knownParties(), history.hostedParties());
  const submissions = createSubmissionApi({
    participantId,
    participantName: name,
    clock,
    random: options.submissionRandom,
    synchronizer,
    packages,
    vetting: options.vetting,
    history,
    intake,
    knownParties: allParties,
    ledger: options.ledger,
    keys: options.keys,
    sequencing: options.sequencing,
    replan: options.replan,
    faults: submissionFaults,
    completions,
    traffic,
    deduplicationMs: options.deduplicationMs,
  });
  const ledgerApi = createLedgerApi({
    participantId,
    history,
    packages,
    synchronizers: options.synchronizers,
    recordTimes,
    faults,
    clock,
    cadence,
    knownParties: allParties,
    submissions,
    completions,
  });
  const api = withAuthorization(ledgerApi, options.users);
  const itemOf = (update: LedgerUpdate, process: () => void): IntakeItem => ({
    recordTimeMicros: update.recordTimeMicros,
    synchronizerId: update.synchronizerId,
    process,
  });
  const receive = (update: LedgerUpdate): bigint | undefined => {
    let offset: bigint | undefined;
    intake.take(
      itemOf(update, () => {
        offset = history.append(update);
      }),
    );
    return offset;
  };
  const restore: Participant['restore'] = (request) => {
    const to = 'to' in request ? request.to : history.offsetBefore(request.updatesBack);
    const before = recordTimes();
    const forgotten = history.rollBack(to);
    faults.abortStreams(SHUTDOWN);
    completions.rollBack(to);
    submissions.forget();
    if (request.offsetSteps !== undefined) history.setSteps(request.offsetSteps);
    const waiting = intake.takeBack();
    const replayed = forgotten.map(({ update, offset }) =>
      itemOf(update, () => {
        history.append(update, request.numbering === 'same' ? { at: offset } : { not: offset });
      }),
    );
    const [first] = forgotten;
    const reached =
      history.newest()?.update ?? (first && { ...first.update, recordTimeMicros: first.update.recordTimeMicros - 1n });
    const times = reached === undefined ? before : new Map([[reached.synchronizerId, reached.recordTimeMicros]]);
    intake.replay(request.losesTail === true ? [] : [...replayed, ...waiting], times, request.catchUp ?? 'atOnce');
    return { ledgerEnd: history.ledgerEnd(), behind: intake.behind() };
  };
  return {
    name,
    participantId,
    api,
    admin: createAdminApi({ participantId, users: options.users, allocations: options.allocations }),
    faults,
    traffic,
    host: history.host,
    isHosted: history.isHosted,
    hostedParties: history.hostedParties,
    knows: (contractId) => history.contract(contractId) !== undefined,
    offsetOf: (updateId) => history.byUpdateId(updateId)?.offset,
    append: receive,
    appendRecorded: (transaction) => {
      addSeenPackages(transaction.events, packages);
      const { update, witnesses } = recordedUpdate(transaction, (contractId) => {
        const known = history.contract(contractId);
        return known === undefined ? [] : stakeholdersOf(known.contract);
      });
      for (const party of witnesses) history.host(party);
      return receive(update);
    },
    ledgerEnd: history.ledgerEnd,
    prunedUpTo: history.prunedUpTo,
    prune: history.prune,
    skipOffsets: history.skipOffsets,
    intake,
    restore,
    leave: () => {
      faults.abortStreams(SHUTDOWN);
      intake.hold();
    },
    close: intake.close,
  };
}
