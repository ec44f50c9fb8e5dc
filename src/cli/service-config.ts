/** What a service is made from. */
import type { Config } from '../config/config.ts';
import type { Clock } from '../env/clock.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { Measures } from '../env/measures.ts';
import type { Random } from '../env/random.ts';

export type ServiceConfig = Omit<Config, 'databaseUrl' | 'dataDir' | 'logLevel'>;

export type ServiceEnv = {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  /** Left out: nobody counts. */
  readonly measures?: Measures;
};
