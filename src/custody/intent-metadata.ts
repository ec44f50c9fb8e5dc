/** The metadata of a prepared transaction against the intent: who acts, as which command, on which synchronizer, and within which times. */
import { type Micros, millisToMicros } from '../env/clock.ts';
import type { Metadata } from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { demand, present } from './custody-refusal.ts';
import type { HashScheme } from './transaction-hash.ts';
import type { TransferIntent } from './transfer-intent.ts';

export type PreparationWindow = {
  /** The last record time that our own ingestion has seen on this synchronizer. */
  readonly recordTime: Micros;
  /** How far the preparation time may be from it, either way. */
  readonly toleranceMicros: Micros;
};

/** Who commands what, as which command, where and within which times. */
export type CommandTerms = Pick<
  TransferIntent,
  'commandId' | 'synchronizerId' | 'physicalSynchronizerId' | 'maxRecordTime'
> & {
  /** Exclusive; null: the command has no such deadline. */
  readonly executeBefore: Micros | null;
  /** The treasury party: acts alone. */
  readonly party: string;
};

/** Ten minutes: checkpoints of an idle stream lag by up to 75 s, a paused signer by some minutes more. */
export const PREPARATION_TOLERANCE_MICROS = millisToMicros(600_000);
/** One minute: how far ledger time and record time may differ on Canton. */
const LEDGER_TIME_SKEW_MICROS = millisToMicros(60_000);
/** From this protocol version on, the metadata names the physical synchronizer, and scheme V3 exists. */
const PHYSICAL_ID_PROTOCOL_MIN = 35;

/** @throws CustodyRefusal INTENT_METADATA, INTENT_SYNCHRONIZER, INTENT_TIME. */
export function demandMetadata(
  metadata: Metadata,
  intent: CommandTerms,
  scheme: HashScheme,
  window: PreparationWindow,
): void {
  const submitter = present(metadata.submitterInfo, 'INTENT_METADATA', 'metadata.submitterInfo');
  const isAlone = submitter.actAs.length === 1 && submitter.actAs[0] === intent.party;
  demand(isAlone, 'INTENT_METADATA', 'Not the treasury party alone.', 'metadata.actAs', { actAs: submitter.actAs });
  const isCommand = submitter.commandId === intent.commandId;
  demand(isCommand, 'INTENT_METADATA', 'Another command.', 'metadata.commandId', { commandId: submitter.commandId });
  demand(metadata.transactionUuid !== '', 'INTENT_METADATA', 'No transaction uuid.', 'metadata.transactionUuid');
  demandSynchronizer(metadata.synchronizerId, intent, scheme);
  demandTimes(metadata, intent, window);
}

function demandSynchronizer(found: string, intent: CommandTerms, scheme: HashScheme): void {
  const refuse = (condition: boolean, message: string): void =>
    demand(condition, 'INTENT_SYNCHRONIZER', message, 'metadata.synchronizerId', { found });
  const pinned = intent.physicalSynchronizerId;
  if (pinned !== null) refuse(found === pinned, 'Another physical synchronizer.');
  const suffix = found.slice(intent.synchronizerId.length);
  refuse(found.startsWith(intent.synchronizerId), 'Another synchronizer.');
  const physical = /^::(\d{1,4})-(\d{1,9})$/.exec(suffix);
  refuse(suffix === '' || physical !== null, 'Another synchronizer.');
  if (physical !== null) {
    refuse(Number(physical[1]) >= PHYSICAL_ID_PROTOCOL_MIN, 'A physical id where the logical one is signed.');
  }
  refuse(scheme !== 'V3' || physical !== null, 'Scheme V3 on a protocol that does not have it.');
}

function demandTimes(metadata: Metadata, intent: CommandTerms, window: PreparationWindow): void {
  const refuse = (condition: boolean, message: string, field: string, found: bigint | undefined): void =>
    demand(condition, 'INTENT_TIME', message, `metadata.${field}`, { found });
  const { preparationTime, minLedgerEffectiveTime: min, maxLedgerEffectiveTime: max, maxRecordTime } = metadata;

  // Also under V2, whose signature does not cover it: a node that dropped it would not hold to it either.
  refuse(maxRecordTime === intent.maxRecordTime, 'Another last record time.', 'maxRecordTime', maxRecordTime);
  refuse(window.recordTime <= intent.maxRecordTime, 'The target has passed.', 'maxRecordTime', maxRecordTime);

  const distance = preparationTime - window.recordTime;
  const isNear = distance <= window.toleranceMicros && -distance <= window.toleranceMicros;
  refuse(isNear, 'Prepared too far from now.', 'preparationTime', preparationTime);
  refuse(preparationTime <= intent.maxRecordTime, 'Prepared after the target.', 'preparationTime', preparationTime);

  if (min !== undefined) {
    const isReachable = min <= intent.maxRecordTime + LEDGER_TIME_SKEW_MICROS;
    const isInTime = intent.executeBefore === null || min < intent.executeBefore;
    refuse(isReachable && isInTime, 'Could never commit.', 'minLedgerEffectiveTime', min);
  }
  if (max !== undefined) {
    // The transfer's deadline is exclusive, the bound inclusive.
    const isInTime = intent.executeBefore === null || max < intent.executeBefore;
    refuse(isInTime, 'Beyond the deadline of the transfer.', 'maxLedgerEffectiveTime', max);
    const isReachable = max >= (min ?? 0n) && max >= preparationTime - LEDGER_TIME_SKEW_MICROS;
    refuse(isReachable, 'Could never commit.', 'maxLedgerEffectiveTime', max);
  }
}
