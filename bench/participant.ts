/** What participant-process.ts is told, and what it tells. */
import { join } from 'node:path';
import { type Child, startChild } from './child.ts';
import type { Recording } from './recording.ts';

export type ParticipantOptions = {
  /** Updates to record of simnet; the rest of the ledger repeats them under new ids. */
  readonly recordedMin: number;
  /** Updates that the ledger holds. */
  readonly updates: number;
};

export type ParticipantReady = Omit<Recording, 'messages'> & {
  readonly url: string;
  readonly messageBytesMean: number;
};

export async function startParticipant(options: ParticipantOptions): Promise<Child<ParticipantReady>> {
  return await startChild(join(import.meta.dirname, 'participant-process.ts'), options);
}
