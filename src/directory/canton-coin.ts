/** Canton Coin, ready without a word of configuration: its admin is the DSO party, which the validator's Scan proxy or a Scan names, and that is its registry too. */
import type { ReadSource } from '../config/read-source.ts';
import type { Database } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { readTokensOfNetwork } from '../read/tokens.ts';
import type { ScanReads } from '../scan/scan-reads.ts';
import { adoptConfiguredTokens } from './configured-tokens.ts';

const AMULET = 'Amulet';

/**
 * Adds it where the directory has no Canton Coin yet. Harmless when repeated; while nobody can be asked it is left for the next time.
 *
 * Whoever names the DSO says whose tokens are credited as Canton Coin. A rotation has one Scan's word for that, of a Scan that need not be honest; then a person says it (`sluice token add`).
 * @param scan null: neither a validator nor a Scan is configured.
 * @param source as Scan is read.
 */
export async function adoptCantonCoin(
  options: { readonly db: Database; readonly network: string; readonly clock: Clock; readonly logger: Logger },
  { scan, source }: { readonly scan: ScanReads | null; readonly source: ReadSource },
): Promise<void> {
  const { db, network, logger } = options;
  if (scan === null) return;
  const tokens = await readTokensOfNetwork(db, network);
  if (tokens.some(({ implementation }) => implementation === 'SPLICE_AMULET')) return;
  if (source.strategy === 'rotate') {
    logger.warn('Canton Coin is not in the token directory: one Scan alone is not believed who its admin is.', {
      fix: 'Add it with `sluice token add`, or read Scan by quorum or through the validator.',
    });
    return;
  }
  let admin: string;
  try {
    admin = await scan.dsoParty();
  } catch (error) {
    logger.warn('Canton Coin is not in the token directory, and nobody says who its admin is.', {
      why: messageOf(error),
    });
    return;
  }
  const configured = {
    network,
    instruments: [{ name: 'CC', admin, id: AMULET }],
    registries: [{ admin, instrumentId: null, source }],
  };
  await adoptConfiguredTokens(db, configured, options);
  logger.info('Canton Coin was added to the token directory.', { network, admin });
}
