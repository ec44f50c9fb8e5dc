/** The participant, for commands that ask it something and end. */
import { loadConfig } from '../config/config.ts';
import type { Logger } from '../env/logger.ts';
import { createFailoverLedger } from '../ledger/failover-ledger.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { CommandContext } from './command-context.ts';
import { openEndpoints } from './ledger-endpoints.ts';
import { createServiceLoops } from './service-loops.ts';

const KEYS = [
  'ledgerUrls',
  'ledgerParticipants',
  'ledgerToken',
  'ledgerTokenFile',
  'ledgerCallsInFlight',
  'ledgerCallsPerSecond',
  'ledgerSwitchSeconds',
  'oauthUrl',
  'oauthClientId',
  'oauthClientSecret',
  'oauthAudience',
  'oauthScope',
] as const;

/**
 * @returns what `work` does; null where no participant is configured.
 * @throws ConfigError, and what `work` throws. Connections are closed either way.
 */
export async function withLedger<T>(
  context: CommandContext,
  logger: Logger,
  work: (ledger: Ledger) => Promise<T>,
): Promise<T | null> {
  if ((context.environment['SLUICE_LEDGER_URL'] ?? '') === '') return null;
  const { pool, loops } = openEndpoints(loadConfig(context.environment, KEYS), { ...context, logger });
  const running = createServiceLoops({ logger });
  for (const { name, run } of loops) running.run(name, run);
  try {
    return await work(createFailoverLedger(pool));
  } finally {
    await running.stop();
    await pool.close();
  }
}
