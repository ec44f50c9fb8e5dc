/** What a worker process keeps an eye on for its treasuries beside their streams: their preapprovals, and the rights of the ledger user. */
import type { Config } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import type { Leases } from '../db/lease.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import type { Channel } from '../ledger/channel.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { runPreapprovalMonitor } from '../treasury/preapproval-monitor.ts';
import type { ServiceLoops } from './service-loops.ts';
import { needsOf, reportRights } from './treasury-rights.ts';

export function watchTreasuries(options: {
  readonly config: Pick<Config, 'signerSeed' | 'signer'>;
  readonly env: { readonly clock: Clock; readonly random: Random; readonly logger: Logger };
  readonly db: Database;
  readonly call: Channel['call'];
  readonly openLedger: () => Ledger;
  readonly treasuries: readonly Treasury[];
  readonly leases: Leases;
  readonly holder: string;
  readonly working: ServiceLoops;
}): void {
  const { config, env, db, call, openLedger, treasuries, leases, holder, working } = options;
  working.run('rights of the ledger user', async () => {
    await reportRights(call, { treasuries, needs: needsOf(config), logger: env.logger });
  });
  for (const treasury of treasuries) {
    working.run(`preapproval of ${treasury.name}`, async (signal) => {
      await runPreapprovalMonitor({ ...env, db, ledger: openLedger(), treasury, leases, holder, signal });
    });
  }
}
