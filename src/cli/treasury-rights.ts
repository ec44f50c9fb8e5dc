/** What the ledger user of each participant may do, as lines of the log when workers start. A wrong right stops nothing here: what does not work says so by itself. */
import type { Config } from '../config/config.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import type { Channel } from '../ledger/channel.ts';
import { checkRights } from '../treasury/check-rights.ts';
import type { Need } from '../treasury/ledger-rights.ts';

/** What this installation does with its user: it prepares and hands in where it pays out. */
export function needsOf(config: Pick<Config, 'signerSeed' | 'signer'>): readonly Need[] {
  return config.signerSeed === null && config.signer === null ? ['READ'] : ['READ', 'EXECUTE'];
}

export async function reportRights(
  call: Channel['call'],
  options: {
    readonly treasuries: readonly Pick<Treasury, 'party'>[];
    readonly needs: readonly Need[];
    readonly logger: Logger;
  },
): Promise<void> {
  const { treasuries, needs, logger } = options;
  try {
    const check = await checkRights(call, { parties: treasuries.map(({ party }) => party), needs });
    if (check.kind === 'UNKNOWN') {
      logger.info('The participant does not say what its user may do.', { why: check.why });
      return;
    }
    for (const finding of check.findings) {
      const { kind, ...facts } = finding;
      if (kind === 'MISSING') logger.error('The ledger user lacks a right.', { user: check.user, ...facts });
      else logger.warn('The ledger user may do more than it has to.', { user: check.user, ...facts });
    }
  } catch (error) {
    logger.warn('The rights of the ledger user could not be checked.', { why: messageOf(error) });
  }
}
