/** One participant of the network: its history, its Ledger API, and the switches that make it misbehave. */
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import type { Transaction } from '../../gen/com/daml/ledger/api/v2/transaction.ts';
import { sortedUnion, stakeholdersOf } from '../daml/contract.ts';
import { addSeenPackages, recordedUpdate } from '../recorded/recorded-update.ts';
import { createCompletionLog } from '../submission/completions.ts';
import type { PartyKeys } from '../submission/party-keys.ts';
import type { Replan } from '../submission/prepare-lies.ts';
import type { Sequencing } from '../submission/sequencing.ts';
import { createSubmissionApi } from '../submission/submission-api.ts';
import { createSubmissionFaults } from '../submission/submission-faults.ts';
import { createFaults, type FaultControls } from './faults.ts';
import type { Ledger } from './ledger.ts';
import { createLedgerApi, type LedgerApi } from './ledger-api.ts';
import type { PackageDirectory } from './package-directory.ts';
import { createParticipantHistory } from './participant-history.ts';
import type { Synchronizer } from './synchronizer.ts';
import type { LedgerUpdate } from './update.ts';
import type { CheckpointCadence } from './update-stream.ts';

export type ParticipantOptions = {
  readonly name: string;
  readonly participantId: string;
  /** Its own stream of randomness, for its offsets. */
  readonly random: Random;
  readonly clock: Clock;
  readonly synchronizer: Synchronizer;
  readonly packages: PackageDirectory;
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
  readonly deduplicationMs: number | undefined;
};

export type Participant = {
  readonly name: string;
  readonly participantId: string;
  /** The Ledger API without sockets. */
  readonly api: LedgerApi;
  readonly faults: FaultControls;
  host(party: string): void;
  isHosted(party: string): boolean;
  hostedParties(): readonly string[];
  /** @returns the offset it got, or undefined when none of its parties sees it. */
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
};

export function createParticipant(options: ParticipantOptions): Participant {
  const { name, participantId, clock, packages, synchronizer, cadence, knownParties } = options;
  const history = createParticipantHistory(options);
  const submissionFaults = createSubmissionFaults({ random: options.submissionRandom, clock });
  const faults = createFaults({ clock, submissions: submissionFaults });
  const completions = createCompletionLog(synchronizer.synchronizerId);
  const allParties = (): readonly string[] => sortedUnion(knownParties(), history.hostedParties());
  const submissions = createSubmissionApi({
    participantId,
    participantName: name,
    clock,
    random: options.submissionRandom,
    synchronizer,
    packages,
    history,
    knownParties: allParties,
    ledger: options.ledger,
    keys: options.keys,
    sequencing: options.sequencing,
    replan: options.replan,
    faults: submissionFaults,
    completions,
    deduplicationMs: options.deduplicationMs,
  });
  const api = createLedgerApi({
    participantId,
    history,
    packages,
    synchronizer,
    faults,
    clock,
    cadence,
    knownParties: allParties,
    submissions,
    completions,
  });
  return {
    name,
    participantId,
    api,
    faults,
    host: history.host,
    isHosted: history.isHosted,
    hostedParties: history.hostedParties,
    append: history.append,
    appendRecorded: (transaction) => {
      addSeenPackages(transaction.events, packages);
      const { update, witnesses } = recordedUpdate(transaction, (contractId) => {
        const known = history.contract(contractId);
        return known === undefined ? [] : stakeholdersOf(known.contract);
      });
      for (const party of witnesses) history.host(party);
      return history.append(update);
    },
    ledgerEnd: history.ledgerEnd,
    prunedUpTo: history.prunedUpTo,
    prune: history.prune,
  };
}
