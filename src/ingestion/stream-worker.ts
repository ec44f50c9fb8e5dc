/**
 * The worker of one treasury party's stream. It holds no state of its own: whatever it knows it read from the database when it claimed the stream, and
 * any number of them may run at once, in any number of processes.
 *
 *   waiting    another worker holds the lease; ask again in half a second.
 *   following  claim the stream under a new fencing token, prove that the participant continues what we have (and find the place again where
 *              its offsets are others), read on from the newest update that was proven. The reader fills one batch while the batch before it commits. Ends of the stream, lost connections and silence lead
 *              back to the claim, with a backoff that is bounded: a run of tries without progress ends the worker with an error, to be restarted
 *              with fresh memory and channels.
 *   halted     the position is in doubt. The reason is in `ingestion_stream`, nothing more is read, the process stays up. A restart looks again.
 */
import type { Database } from '../db/connection.ts';
import type { Lease, Leases } from '../db/lease.ts';
import { type Clock, elapsedMsOf, type Micros, microsToMillis } from '../env/clock.ts';
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import { type Measures, noMeasures } from '../env/measures.ts';
import type { Random } from '../env/random.ts';
import { type RetryPolicy, retry } from '../env/retry.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { ledgerErrorOf } from '../ledger/ledger-error.ts';
import { type BatchQueue, createBatchQueue } from './batch-queue.ts';
import type { BatchWriter } from './batch-writer.ts';
import { proveContinuity, prunedBeyond } from './continuity.ts';
import { guardAgainstCrashes, noteOrderlyEnd } from './crash-guard.ts';
import type { EffectSink, Treasury } from './effect-sink.ts';
import { measuredWriter } from './measured-writer.ts';
import type { Opening } from './opening.ts';
import { createPatientWriter } from './patient-writer.ts';
import { claimStream, haltStream, POSITION_IN_DOUBT, type Position } from './position.ts';
import { type Checkpoint, type ReceivedUpdate, receive } from './received-update.ts';
import { type Heard, untilSilent } from './silence.ts';
import { updateFormatFor } from './update-format.ts';

export type StreamWorkerOptions = {
  readonly db: Database;
  readonly leases: Leases;
  readonly ledger: Ledger;
  readonly treasury: Treasury;
  readonly sinks: readonly EffectSink[];
  /** Unique per process and start. */
  readonly holder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  readonly signal: AbortSignal;
  /** Left out: nobody counts, and the participant is not asked how far it is. */
  readonly measures?: Measures;
  /** Of a stream that has not begun yet; left out: from the beginning of what the participant has. */
  readonly opening?: Opening;
  readonly settings?: Partial<StreamSettings>;
};

export type StreamSettings = {
  readonly batchCountMax: number;
  readonly batchBytesMax: number;
  readonly leaseTtlMs: number;
  readonly silenceMsMax: number;
  /** A stream that was open for so long was well, whatever ended it and however little there was to read. */
  readonly lastingMs: number;
  readonly reconnect: RetryPolicy;
};

const DEFAULTS: StreamSettings = {
  batchCountMax: 500, // The knee of throughput; larger batches gain nothing and hold the row lock longer.
  batchBytesMax: 2 * 1024 * 1024, // Decoded they take five times as much, and two batches are in memory: one being read, one being written.
  leaseTtlMs: 5_000, // A successor takes over within this time; renewed at a third of it.
  silenceMsMax: 75_000, // A healthy participant sends a checkpoint at least every 75 s, even when nothing happens.
  lastingMs: 10_000,
  reconnect: { attemptsMax: 40, delayMsMin: 100, delayMsMax: 5_000 }, // Three minutes without progress.
};

const LEASE_RETRY_MS = 500; // With the lease itself it makes the time to a takeover.
const LAG_EVERY_MS = 10_000; // One small call per stream; scrapes come at that distance.

const FROM_THE_BEGINNING: Opening = { at: null };

type Item = ReceivedUpdate | Checkpoint;

/** Rights changed, or a token ended: the participant asks to be asked again at once. */
const REOPENED_AT_ONCE: ReadonlySet<string> = new Set(['STALE_STREAM_AUTHORIZATION', 'ACCESS_TOKEN_EXPIRED']);

/**
 * @returns when `signal` aborts or the stream is halted.
 * @throws RetryableError when the tries without progress are used up; PermanentError for anything that restarting cannot mend.
 */
export async function runStreamWorker(options: StreamWorkerOptions): Promise<void> {
  const { leases, treasury, holder, clock, random, signal, measures = noMeasures } = options;
  const logger = options.logger.child({ treasury: treasury.name });
  const settings = { ...DEFAULTS, ...options.settings };
  const writer = measuredWriter(createPatientWriter({ ...options, logger }), treasury.name, { clock, measures });
  /** Streams in a row that ended without anything to read, and whether the last one was opened again at once. */
  let emptyStreams = 0;
  let isReopened = false;
  /** Where the try before began. A commit whose answer was lost shows as progress only in the next try. */
  let claimedBefore: Position | null = null;

  while (!signal.aborted) {
    try {
      // A try that made progress counts as a success: the next one starts with all its retries.
      await retry(() => holdLeaseAndFollow(), settings.reconnect, {
        clock,
        random,
        signal,
        onFailure: (error, attemptsLeft, delayMs) => {
          measures.retried({ work: 'stream', code: error.code });
          logger.warn('The stream will be resumed.', { code: error.code, why: error.message, attemptsLeft, delayMs });
        },
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof HaltedError) return;
      throw error;
    }
  }

  async function holdLeaseAndFollow(): Promise<void> {
    const lease = await leases.acquire({ name: `ingestion:${treasury.id}`, holder, ttlMs: settings.leaseTtlMs });
    if (lease === null) return clock.sleep(LEASE_RETRY_MS, signal);
    const lost = new AbortController();
    const held = AbortSignal.any([signal, lost.signal]);
    const renewing = keepLease(lease, lost, held);
    try {
      await follow(lease, held);
      await endInOrder(lease);
    } catch (error) {
      if (error instanceof RetryableError || error instanceof HaltedError) await endInOrder(lease);
      throw error;
    } finally {
      lost.abort();
      await renewing;
      await leases.release(lease).catch((error: unknown) => {
        // It expires by itself.
        logger.warn('The lease was not released.', { why: messageOf(error) });
      });
    }
  }

  /** Whoever vanishes without it is taken to have died of what it had in hand. */
  async function endInOrder(lease: Lease): Promise<void> {
    await noteOrderlyEnd(options.db, treasury, lease.token).catch((error: unknown) => {
      logger.warn('The orderly end of a worker was not noted.', { why: messageOf(error) });
    });
  }

  /** Renews while `held`; tells `lost` when the lease has gone to somebody else. A database that is away is the writer's affair. */
  async function keepLease(lease: Lease, lost: AbortController, held: AbortSignal): Promise<void> {
    while (!held.aborted) {
      await clock.sleep(settings.leaseTtlMs / 3, held);
      if (held.aborted) return;
      const isOurs = await leases.renew(lease, settings.leaseTtlMs).catch((error: unknown) => {
        logger.warn('The lease was not renewed.', { why: messageOf(error) });
        return true;
      });
      if (!isOurs) lost.abort();
    }
  }

  /** Follows until the stream ends. Resolves if the position moved, or nobody wants to go on. */
  async function follow(lease: Lease, held: AbortSignal): Promise<void> {
    const claimed = await claimStream(options.db, treasury, lease.token);
    const before: Position = claimedBefore ?? claimed;
    claimedBefore = claimed;
    let position = claimed;
    let openedAt: Micros | null = null;
    try {
      const guard = { db: options.db, treasury, carefulCount: settings.batchCountMax };
      const guarded = await guardAgainstCrashes(writer, guard);
      const patience = { looks: settings.reconnect, listenMs: settings.silenceMsMax };
      const { opening = FROM_THE_BEGINNING } = options;
      position = await unlessAborted(
        held,
        proveContinuity({ ...options, opening, patience, writer, logger, position, signal: held }),
      );
      const over = new AbortController();
      const streamSignal = AbortSignal.any([held, over.signal]);
      const queue = createBatchQueue<Item>({ countMax: settings.batchCountMax, bytesMax: settings.batchBytesMax });
      openedAt = clock.nowMicros();
      const heard: Heard = { atMs: elapsedMsOf(clock), isHeldBack: false };
      const reading = read(position, queue, heard, streamSignal);
      const watching = watchForSilence(queue, heard, over, streamSignal);
      const looking = measureLag(() => position, streamSignal);
      try {
        await writeBatches(guarded, queue, position, (written) => {
          position = written;
        });
      } finally {
        over.abort();
        queue.close();
        await Promise.all([reading, watching, looking]);
      }
      measures.streamEnded({ treasury: treasury.name, reason: 'STOPPED' });
    } catch (cause) {
      const error = inOurTerms(cause, position);
      measures.streamEnded({ treasury: treasury.name, reason: reasonOf(error, held) });
      await giveUp(error, position);
      if (!(error instanceof RetryableError)) throw error;
      if (held.aborted && error.code === 'STREAM_GIVEN_UP') return;
      const openMs = openedAt === null ? 0 : microsToMillis(clock.nowMicros() - openedAt);
      const wasWell = isProgress(before, position) || (openMs >= settings.lastingMs && isEndOfStream(error));
      if (!wasWell && !(await isHarmless(error, position, held))) throw error;
      if (wasWell) {
        emptyStreams = 0;
        isReopened = false;
      }
      logger.warn('The stream was interrupted.', { code: error.code, why: error.message, offset: position.offset });
    }
  }

  /**
   * Whether a stream that brought nothing ended for a reason that tells of no trouble. Then it costs no try, but a wait that grows: proxies that end what is idle, and nodes whose rights
   * are being changed, must not end a worker that lacks nothing.
   */
  async function isHarmless(error: RetryableError, position: Position, held: AbortSignal): Promise<boolean> {
    if (REOPENED_AT_ONCE.has(error.code) && !isReopened) {
      isReopened = true;
      return true;
    }
    if (error.code !== 'STREAM_ENDED') return false;
    const end = await options.ledger.ledgerEnd().catch(() => null);
    if (end === null || end.offset > position.offset) return false;
    const { delayMsMin, delayMsMax } = settings.reconnect;
    const delayMs = Math.min(delayMsMax, delayMsMin * 2 ** Math.min(emptyStreams, 20)) * (0.5 + random.next() / 2);
    emptyStreams += 1;
    await clock.sleep(delayMs, held);
    return true;
  }

  async function read(
    position: Position,
    queue: BatchQueue<Item>,
    heard: Heard,
    streamSignal: AbortSignal,
  ): Promise<void> {
    try {
      const messages = options.ledger.updates({
        beginExclusive: position.offset,
        format: updateFormatFor(treasury.party),
        signal: streamSignal,
      });
      for await (const message of messages) {
        // Waiting for room in the queue is not the participant's silence, however long the database takes.
        heard.isHeldBack = true;
        await queue.push(receive(message), message.bytes.length);
        heard.isHeldBack = false;
        heard.atMs = elapsedMsOf(clock);
        if (streamSignal.aborted) break;
      }
      queue.close(
        streamSignal.aborted ? undefined : new RetryableError('STREAM_ENDED', 'The participant ended the stream.'),
      );
    } catch (error) {
      queue.close(error instanceof PermanentError ? error : ledgerErrorOf(error, 'GetUpdates'));
    }
  }

  /** Asked at the same session as the stream: offsets of another participant are other numbers. */
  async function measureLag(positionNow: () => Position, streamSignal: AbortSignal): Promise<void> {
    while (options.measures !== undefined && !streamSignal.aborted) {
      const end = await unlessAborted(streamSignal, options.ledger.ledgerEnd()).catch(() => null);
      if (end !== null && !streamSignal.aborted) {
        const offsets = end.offset - positionNow().offset;
        measures.behind({ treasury: treasury.name, offsets: offsets > 0n ? offsets : 0n });
      }
      await clock.sleep(LAG_EVERY_MS, streamSignal);
    }
  }

  /** A stream that is open and silent looks like a quiet ledger; the checkpoints that a healthy one sends tell the difference. */
  async function watchForSilence(
    queue: BatchQueue<Item>,
    heard: Heard,
    over: AbortController,
    streamSignal: AbortSignal,
  ): Promise<void> {
    const silentMs = await untilSilent(heard, { clock, signal: streamSignal, silenceMsMax: settings.silenceMsMax });
    if (silentMs === null) return;
    const stalled = new RetryableError('STREAM_STALLED', 'No message, not even a checkpoint.', {
      silentMs: Math.round(silentMs),
    });
    queue.close(stalled);
    // The reason tells the connection that it is not to be used again.
    over.abort(stalled);
  }

  async function giveUp(error: unknown, position: Position): Promise<void> {
    if (!(error instanceof PermanentError) || !POSITION_IN_DOUBT.has(error.code)) return;
    await haltStream(options.db, treasury, position, error);
    logger.error('The stream is halted: its position is in doubt.', {
      code: error.code,
      why: error.message,
      ...error.facts,
    });
    throw new HaltedError(error.code, error.message, error.facts, { cause: error });
  }
}

/** As counters know it. */
function reasonOf(error: unknown, held: AbortSignal): string {
  if (!(error instanceof RetryableError || error instanceof PermanentError)) return 'UNEXPECTED';
  return held.aborted && error.code === 'STREAM_GIVEN_UP' ? 'STOPPED' : error.code;
}

/** Whether the participant, or the network before it, ended the stream: not our database, nor our own leaving. */
function isEndOfStream({ code, facts }: RetryableError): boolean {
  return code === 'STREAM_ENDED' || facts['grpcStatus'] !== undefined;
}

/** Whether anything is known that was not known before: an update, a new place, an offset that passed, or the time of the ledger. */
function isProgress(before: Position, after: Position): boolean {
  return (
    after.epoch > before.epoch ||
    after.verified?.updateId !== before.verified?.updateId ||
    after.offset > before.offset ||
    [...after.recordTimes].some(([synchronizerId, time]) => time > (before.recordTimes.get(synchronizerId) ?? 0n))
  );
}

/** What the participant says of offsets, as it concerns a position: how a stream that was proven can still fail. */
function inOurTerms(error: unknown, position: Position): unknown {
  if (!(error instanceof PermanentError)) return error;
  // It went back in time between the proof and the stream. Canton means this to be waited out; we prove again, and find our place again.
  if (error.code === 'OFFSET_AFTER_LEDGER_END') {
    return new RetryableError('OFFSETS_IN_DOUBT', error.message, error.facts, { cause: error });
  }
  const earliest = earliestOffsetOf(error);
  return error.code === 'PARTICIPANT_PRUNED_DATA_ACCESSED' && earliest !== null
    ? prunedBeyond(position.offset, earliest)
    : error;
}

function earliestOffsetOf({ facts: { metadata } }: PermanentError): bigint | null {
  if (typeof metadata !== 'object' || metadata === null || !('earliest_offset' in metadata)) return null;
  const text = String(metadata.earliest_offset);
  return /^\d{1,19}$/.test(text) ? BigInt(text) : null;
}

/**
 * The result of `work`, not waited for once `signal` aborts: a participant that does not answer must not hold up the end of the process.
 * @throws RetryableError STREAM_GIVEN_UP when it aborts, and what `work` throws before.
 */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new RetryableError('STREAM_GIVEN_UP', 'The lease was lost, or the process is to end.'));
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** The stream stands still by decision, not by accident. */
class HaltedError extends PermanentError {}

/** Writes until the queue is closed and drained. @throws what it was closed with, or what a write threw. */
async function writeBatches(
  writer: BatchWriter,
  queue: BatchQueue<Item>,
  start: Position,
  onWritten: (position: Position) => void,
): Promise<void> {
  let position = start;
  for (;;) {
    const batch = await queue.take();
    if (batch.length === 0) return;
    position = await writer.write(batch, position);
    onWritten(position);
  }
}
