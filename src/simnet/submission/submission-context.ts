/** What the submission side of one participant works with. */
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import type { Intake } from '../ledger/intake.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { PackageDirectory } from '../ledger/package-directory.ts';
import type { ParticipantHistory } from '../ledger/participant-history.ts';
import type { Synchronizer } from '../ledger/synchronizer.ts';
import type { Vetting } from '../ledger/vetting.ts';
import type { CompletionLog } from './completions.ts';
import type { PartyKeys } from './party-keys.ts';
import type { Replan } from './prepare-lies.ts';
import type { Sequencing } from './sequencing.ts';
import type { SubmissionFaults } from './submission-faults.ts';
import type { Traffic } from './traffic.ts';

export type SubmissionContext = {
  readonly participantId: string;
  readonly participantName: string;
  readonly clock: Clock;
  /** For transaction uuids. */
  readonly random: Random;
  readonly synchronizer: Synchronizer;
  readonly packages: PackageDirectory;
  readonly vetting: Vetting;
  readonly history: ParticipantHistory;
  readonly intake: Intake;
  readonly knownParties: () => readonly string[];
  /** The network's; asked for late, as the network is built from its participants. */
  readonly ledger: () => Ledger;
  readonly keys: PartyKeys;
  readonly sequencing: Sequencing;
  readonly replan: Replan;
  readonly faults: SubmissionFaults;
  readonly completions: CompletionLog;
  readonly traffic: Traffic;
  /** Longest time for which an accepted command blocks its change id; undefined: it never does. */
  readonly deduplicationMs: number | undefined;
};
