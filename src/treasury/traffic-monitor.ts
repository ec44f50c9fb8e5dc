/** Reads what Scan says of our participants' traffic again and again, writes it down for whoever submits, and says aloud what got worse or better. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Leases } from '../db/lease.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { homeSynchronizerOf } from '../ingestion/home-synchronizer.ts';
import type { MemberTraffic } from '../scan/scan-client.ts';
import type { ScanReads } from '../scan/scan-reads.ts';
import { readTrafficLeft, recordReading } from '../submissions/traffic-readings.ts';
import { type TrafficLimits, type TrafficState, trafficHealthOf } from './traffic-health.ts';

export type TrafficMonitorOptions = {
  readonly db: Database;
  readonly networkId: number;
  readonly scan: Pick<ScanReads, 'memberTraffic'>;
  /** Ids of the participants that may submit. @throws what the ledger throws. */
  readonly participants: () => Promise<readonly string[]>;
  readonly limits: TrafficLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

/** One look at every participant. What cannot be read is said once in the log, and its last reading stays. @throws RetryableError when the database is away. */
export async function lookAtTraffic(options: TrafficMonitorOptions): Promise<void> {
  const { db, networkId, clock, logger } = options;
  const synchronizerId = await synchronizerOf(db, networkId);
  if (synchronizerId === null) return;
  const before = await statesOf(options);
  for (const { participant, readAt, traffic } of await askAll(options, synchronizerId)) {
    await recordReading(db, { networkId, participant, readAt, ...traffic });
  }
  for (const { participant, balance, ...rest } of await readTrafficLeft(db, networkId)) {
    const { state, hoursLeft, alarm } = trafficHealthOf(
      { participant, balance, ...rest },
      options.limits,
      clock.nowMicros(),
    );
    const was = before.get(participant) ?? null;
    if (state === was) continue;
    const facts = { participant, state, was, balance: String(balance), hoursLeft };
    if (alarm === null) logger.info('The participant has traffic.', facts);
    else logger.error('The participant is about to run out of traffic, or is kept from it.', { ...facts, alarm });
  }
}

const EVERY_MS = 60_000;
const POLLS_PER_ROUND = 6;
const LOOK_MS_MAX = 30_000;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop}. */
export async function runTrafficMonitor(
  options: TrafficMonitorOptions & {
    readonly leases: Leases;
    readonly holder: string;
    readonly random: Random;
    readonly everyMs?: number;
  },
): Promise<void> {
  const { networkId, leases, holder, clock, random, logger, signal, everyMs = EVERY_MS } = options;
  let round = 0;
  await runPollingLoop({
    name: 'traffic',
    pass: async () => {
      round += 1;
      // Not released: it is the turn itself, and gone when the next round is due.
      const ttlMs = everyMs * (1 - 1 / (2 * POLLS_PER_ROUND));
      const turn = await leases.acquire({ name: `traffic:${networkId}`, holder: `${holder}:${round}`, ttlMs });
      if (turn !== null) await lookAtTraffic(options);
      return false;
    },
    wakeUp: createWakeUp(clock),
    pollMs: everyMs / POLLS_PER_ROUND,
    clock,
    random,
    logger,
    signal,
  });
}

async function askAll(
  { participants, scan, clock, logger, signal }: TrafficMonitorOptions,
  synchronizerId: string,
): Promise<readonly { readonly participant: string; readonly readAt: bigint; readonly traffic: MemberTraffic }[]> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS_MAX)]);
  try {
    const answers = [];
    for (const participant of new Set(await participants())) {
      // Before the question: what is claimed meanwhile counts for the reading that stands, and so for both.
      const readAt = clock.nowMicros();
      const traffic = await scan.memberTraffic({ synchronizerId, participantId: participant }, limit);
      if (traffic === null) logger.debug('Scan does not know the traffic of the participant.', { participant });
      else answers.push({ participant, readAt, traffic });
    }
    return answers;
  } catch (error) {
    if (!signal.aborted) logger.warn('The participants’ traffic could not be read.', { why: messageOf(error) });
    return [];
  }
}

async function statesOf({ db, networkId, limits, clock }: TrafficMonitorOptions): Promise<Map<string, TrafficState>> {
  const now = clock.nowMicros();
  const known = await readTrafficLeft(db, networkId);
  return new Map(known.map((each) => [each.participant, trafficHealthOf(each, limits, now).state]));
}

/** That of any treasury of the network; null before anything was read of the ledger. */
async function synchronizerOf(db: Database, networkId: number): Promise<string | null> {
  const { rows } = await sql<{ id: string | null }>`
    SELECT ${homeSynchronizerOf(sql`t.id`)} AS id FROM treasury_party t WHERE t.network_id = ${networkId} ORDER BY t.id`.execute(
    db,
  );
  return rows.find(({ id }) => id !== null)?.id ?? null;
}
