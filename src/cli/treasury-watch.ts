/** What a worker process keeps an eye on for its treasuries beside their streams: their preapprovals, the rights of the ledger user, and the traffic of the participants. */
import type { Config } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import type { Leases } from '../db/lease.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import type { Channel } from '../ledger/channel.ts';
import type { EndpointPool } from '../ledger/endpoint-pool.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { runPreapprovalMonitor } from '../treasury/preapproval-monitor.ts';
import { HOURS_LEFT_MIN } from '../treasury/traffic-health.ts';
import { runTrafficMonitor } from '../treasury/traffic-monitor.ts';
import { openRegistries, type RegistriesConfig } from './open-registries.ts';
import type { ServiceLoops } from './service-loops.ts';
import { needsOf, reportRights } from './treasury-rights.ts';

export function watchTreasuries(options: {
  readonly config: Pick<Config, 'signerSeed' | 'signer' | 'trafficReserveBytes'> & RegistriesConfig;
  readonly env: { readonly clock: Clock; readonly random: Random; readonly logger: Logger };
  readonly db: Database;
  readonly call: Channel['call'];
  readonly openLedger: () => Ledger;
  /** What is known of the participant endpoints. */
  readonly endpoints: EndpointPool['states'];
  readonly treasuries: readonly Treasury[];
  readonly leases: Leases;
  readonly holder: string;
  readonly working: ServiceLoops;
}): void {
  const { config, env, db, call, openLedger, endpoints, treasuries, leases, holder, working } = options;
  working.run('rights of the ledger user', async () => {
    await reportRights(call, { treasuries, needs: needsOf(config), logger: env.logger });
  });
  const { scan } = openRegistries(config, env);
  const [first] = treasuries;
  if (scan !== null && first !== undefined) {
    working.run('traffic of the participants', async (signal) => {
      const ledger = openLedger();
      await runTrafficMonitor({
        ...env,
        db,
        networkId: first.networkId,
        scan,
        participants: async () => {
          const answering = await ledger.participantId();
          return [answering, ...endpoints().flatMap(({ participantId }) => participantId ?? [])];
        },
        limits: { reserve: BigInt(config.trafficReserveBytes), hoursMin: HOURS_LEFT_MIN },
        leases,
        holder,
        signal,
      });
    });
  }
  for (const treasury of treasuries) {
    working.run(`preapproval of ${treasury.name}`, async (signal) => {
      await runPreapprovalMonitor({ ...env, db, ledger: openLedger(), treasury, leases, holder, signal });
    });
  }
}
