/**
 * Streams by offset (GetUpdates, completions): what a range holds for the reader, then (without an end) whatever comes, with offset
 * checkpoints between. A generator: nothing is computed ahead of what the reader takes, so a slow reader costs no memory.
 */
import { type Clock, microsToMillis, microsToTimestamp, millisToMicros } from '../../env/clock.ts';
import type { OffsetCheckpoint } from '../../gen/com/daml/ledger/api/v2/offset_checkpoint.ts';
import type { GetUpdatesResponse } from '../../gen/com/daml/ledger/api/v2/update_service.ts';
import type { Faults } from './faults.ts';
import type { ParticipantHistory } from './participant-history.ts';
import type { ParticipantUpdate } from './update.ts';

/** Canton's defaults are 15 s and 60 s; their sum is the longest silence that a participant promises. */
export type CheckpointCadence = {
  /** Between checkpoints while updates flow. */
  readonly busyMs: number;
  /** Of silence before one is sent without any update. */
  readonly idleMs: number;
};

/** One place of a history, and what the reader is shown of it: nothing where `message` is undefined. */
export type OffsetEntry<Message> = {
  readonly offset: bigint;
  readonly synchronizerId: string;
  readonly recordTimeMicros: bigint;
  readonly message: Message | undefined;
};

export type OffsetStream<Message> = {
  readonly history: Pick<ParticipantHistory, 'changed' | 'ledgerEnd'>;
  /** What the participant has reached, per synchronizer. */
  readonly recordTimes: () => ReadonlyMap<string, bigint>;
  readonly faults: Faults;
  readonly clock: Clock;
  readonly cadence: CheckpointCadence;
  readonly beginExclusive: bigint;
  /** Undefined: never ends by itself. */
  readonly endInclusive: bigint | undefined;
  /** The first entry past `position`; undefined when there is none yet. */
  readonly next: (position: bigint) => OffsetEntry<Message> | undefined;
  readonly checkpoint: (value: OffsetCheckpoint) => Message;
  /** What is delivered in the place of a message; the message itself when left out. */
  readonly disturb?: (message: Message) => readonly Message[];
  /** @throws when `offset` can no longer be read on from. */
  readonly requireUnpruned: (offset: bigint) => void;
  readonly client: AbortSignal | undefined;
};

type UpdateStream = Omit<OffsetStream<GetUpdatesResponse>, 'history' | 'next' | 'checkpoint'> & {
  readonly history: ParticipantHistory;
  readonly project: (update: ParticipantUpdate) => GetUpdatesResponse | undefined;
};

/** Ends quietly when the client leaves. @throws CantonError as the call fails on the wire. */
export function streamUpdates({
  project,
  history,
  ...stream
}: UpdateStream): AsyncGenerator<GetUpdatesResponse, void, undefined> {
  return streamOffsets<GetUpdatesResponse>({
    ...stream,
    history,
    disturb: stream.faults.forStream(),
    next: (position) => {
      const found = history.next(position);
      return (
        found && {
          offset: found.offset,
          synchronizerId: found.update.synchronizerId,
          recordTimeMicros: found.update.recordTimeMicros,
          message: project(found),
        }
      );
    },
    checkpoint: (value) => ({ update: { $case: 'offsetCheckpoint', value } }),
  });
}

/** Ends quietly when the client leaves. @throws CantonError as the call fails on the wire. */
export async function* streamOffsets<Message>(stream: OffsetStream<Message>): AsyncGenerator<Message, void, undefined> {
  const { faults, clock, cadence } = stream;
  const handle = faults.open(stream.client, { hasEnd: stream.endInclusive !== undefined });
  const recordTimes = new Map<string, bigint>();
  let position = stream.beginExclusive;
  let checkpointDue = clock.nowMicros() + millisToMicros(cadence.idleMs);
  let lastCheckpoint = clock.nowMicros();
  try {
    for (;;) {
      await faults.answering(handle.signal, 'stream');
      if (handle.signal.aborted) break;
      stream.requireUnpruned(position);
      const next = stream.next(position);
      const isCaughtUp = next === undefined;
      if (next !== undefined) {
        if (stream.endInclusive !== undefined && next.offset > stream.endInclusive) return;
        position = next.offset;
        recordTimes.set(next.synchronizerId, next.recordTimeMicros);
        if (next.message !== undefined) {
          await faults.delivering(handle.signal);
          for (const message of stream.disturb?.(next.message) ?? [next.message]) {
            if (handle.signal.aborted) break;
            yield message;
          }
        }
        checkpointDue = lastCheckpoint + millisToMicros(cadence.busyMs);
      } else if (stream.endInclusive !== undefined) {
        return;
      } else {
        position = stream.history.ledgerEnd();
      }
      if (clock.nowMicros() >= checkpointDue) {
        // A checkpoint promises record times, so only a reader that has everything is told what the participant has reached.
        yield stream.checkpoint(
          checkpoint(position, new Map(isCaughtUp ? [...recordTimes, ...stream.recordTimes()] : recordTimes)),
        );
        lastCheckpoint = clock.nowMicros();
        checkpointDue = lastCheckpoint + millisToMicros(cadence.idleMs);
        continue;
      }
      if (isCaughtUp) await waitForMore(stream, handle.signal, checkpointDue);
    }
    const failure = handle.failure();
    if (failure !== undefined) throw failure;
  } finally {
    handle.close();
  }
}

function checkpoint(offset: bigint, times: ReadonlyMap<string, bigint>): OffsetCheckpoint {
  const synchronizerTimes = [...times]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([synchronizerId, micros]) => ({ synchronizerId, recordTime: microsToTimestamp(micros) }));
  return { offset, synchronizerTimes };
}

async function waitForMore(
  { history, clock }: Pick<OffsetStream<unknown>, 'history' | 'clock'>,
  signal: AbortSignal,
  untilMicros: bigint,
): Promise<void> {
  const wait = new AbortController();
  const leave = (): void => wait.abort();
  signal.addEventListener('abort', leave);
  if (signal.aborted) leave();
  try {
    const delayMs = Math.max(microsToMillis(untilMicros - clock.nowMicros()), 0) + 1;
    await Promise.race([history.changed(wait.signal), clock.sleep(delayMs, wait.signal)]);
  } finally {
    wait.abort();
    signal.removeEventListener('abort', leave);
  }
}
