/** What the configuration says of how long queries wait, and what is kept for when the database is away. */
import type { ServerOptions } from '../server/create-server.ts';
import type { ServiceConfig } from './service-config.ts';

export function answerLimitsOf({
  atLeastWaitMs,
  lastKnownMegabytes,
  lastKnownSeconds,
}: ServiceConfig): NonNullable<ServerOptions['answers']> {
  return {
    atLeastWaitMs,
    lastKnown: { bytesMax: lastKnownMegabytes * 1_024 * 1_024, ageMsMax: lastKnownSeconds * 1_000 },
  };
}
