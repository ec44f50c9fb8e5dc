/** Starts the participant of participant-process.ts, and ends it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
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

export type Participant = ParticipantReady & { stop(): Promise<void> };

export async function startParticipant(options: ParticipantOptions): Promise<Participant> {
  const child = fork(join(import.meta.dirname, 'participant-process.ts'), [JSON.stringify(options)]);
  const exited = once(child, 'exit');
  const ready = await Promise.race([
    once(child, 'message').then(([message]: ParticipantReady[]) => message),
    exited.then(() => undefined),
  ]);
  if (ready === undefined) throw new Error('The participant of the benchmark ended before it was ready.');
  return {
    ...ready,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
