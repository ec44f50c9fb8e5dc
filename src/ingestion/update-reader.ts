/** What one received update means, before it meets the tables. The stream and every rebuild read through here. */
import { PermanentError } from '../env/errors.ts';
import { effectsOf, type Known, type UpdateEffects } from '../tokens/update-effects.ts';
import { referencedContracts } from '../tokens/views.ts';
import { SNAPSHOT_PREFIX } from './known-updates.ts';
import { IMPORT_RECORD_TIME } from './next-position.ts';
import { openedContracts, openingEffects } from './opening-effects.ts';
import type { ReceivedUpdate } from './received-update.ts';

const NO_EFFECTS: UpdateEffects = {
  holdingsCreated: [],
  holdingsArchived: [],
  movements: [],
  progress: [],
  instructionsOpened: [],
  instructionsEnded: [],
  anomalies: [],
};

/**
 * @param home the synchronizer that the treasury lives on.
 * @throws DecodeError, PermanentError REASSIGNMENT_NOT_READ or SECOND_SYNCHRONIZER: the update is quarantined, with an alarm. Contracts that moved to or live on
 * another synchronizer cannot be spent together with ours, and balances that no longer say where the money is would be worse than none.
 */
export function effectsOfUpdate(
  update: ReceivedUpdate,
  party: string,
  home: string | null,
  known: Known,
): UpdateEffects {
  if (update.kind === 'REASSIGNMENT') {
    throw new PermanentError(
      'REASSIGNMENT_NOT_READ',
      'Contracts moved between synchronizers; this version cannot follow them.',
    );
  }
  const { transaction, synchronizerId } = update;
  if (transaction === null) return NO_EFFECTS;
  if (home !== null && synchronizerId !== home) {
    throw new PermanentError(
      'SECOND_SYNCHRONIZER',
      `The update came over ${synchronizerId}; this version follows one synchronizer, ${home}.`,
      { synchronizerId, home },
    );
  }
  return update.recordTime === IMPORT_RECORD_TIME
    ? openingEffects(transaction, party, known)
    : effectsOf(transaction, party, known);
}

/**
 * What we wrote down ourselves as vanished (`snapshot.ts`) may since have been seen to end: in an update that could not be read then and can be today. It ended once.
 * @param spent contract ids that have ended before. Of what a participant shows nothing is left out: its ledger consumes nothing twice.
 */
export function withoutSpent(update: ReceivedUpdate, spent: ReadonlySet<string>): ReceivedUpdate {
  const { updateId, transaction } = update;
  if (transaction === null || !updateId.startsWith(SNAPSHOT_PREFIX)) return update;
  const events = transaction.events.filter(
    ({ event }) => event?.$case !== 'exercised' || !spent.has(event.value.contractId),
  );
  return { ...update, transaction: { ...transaction, events } };
}

/** Contracts of earlier updates that decide what this one means. */
export function contractsReferredTo({ transaction, recordTime }: ReceivedUpdate): readonly string[] {
  if (transaction === null) return [];
  const referenced = referencedContracts(transaction.events);
  return recordTime === IMPORT_RECORD_TIME ? [...referenced, ...openedContracts(transaction)] : referenced;
}
