/** Where a worker that gives up stands: the last thing it says, so that whoever is woken need not look it up. */
import type { Database } from '../db/connection.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import type { EndpointState } from '../ledger/endpoint-health.ts';
import { readIngestionStreams } from '../read/ingestion-streams.ts';

/** Logs the position of `treasury` and what was tried; where the database cannot be asked, that. */
export async function reportPosition({
  db,
  treasury,
  error,
  logger,
  endpoints,
}: {
  readonly db: Database;
  readonly treasury: Treasury;
  readonly error: unknown;
  readonly logger: Logger;
  readonly endpoints: readonly EndpointState[];
}): Promise<void> {
  const facts = {
    treasury: treasury.name,
    party: treasury.party,
    why: messageOf(error),
    endpoints: endpoints.map(({ url, participantId, failures, lastError }) => ({
      url,
      participantId,
      failures,
      lastError,
    })),
  };
  try {
    const streams = await readIngestionStreams(db);
    const stream = streams.find(
      (each) => each.treasury.network === treasury.network && each.treasury.party === treasury.party,
    );
    logger.error('The worker gives up; everything up to its position is stored.', {
      ...facts,
      participantId: stream?.participantId,
      epoch: stream?.epoch,
      offset: stream?.ledgerOffset,
      updatesCount: stream?.updatesCount,
      recordTime: stream?.recordTime,
    });
  } catch (unavailable) {
    logger.error('The worker gives up, and its position cannot be read.', {
      ...facts,
      database: messageOf(unavailable),
    });
  }
}
