/** The signer as a process of its own: key, log, rules and socket put together. It opens no database and knows no other secret than its key. */
import { createPublicKey } from 'node:crypto';
import { createLoggedSigner, type KeyInUse } from '../custody/logged-signer.ts';
import { type SigningKey, signingKeyOf } from '../custody/signing-key.ts';
import { type Clock, type Micros, millisToMicros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { createSigningGuard } from './signer-limits.ts';
import { createLog, openLog } from './signer-log.ts';
import type { SignerRules } from './signer-rules.ts';
import { type Listening, type SignerServer, startSignerServer } from './signer-server.ts';

/** What to do where there is no log: a first signer begins one; one whose log was lost waits until nothing of it can commit any more; otherwise it is a fault. */
export type LogBeginning = 'FIRST' | 'LOST' | 'MISSING_IS_A_FAULT';

/** A week after its target a transaction is forgotten: no ledger takes it, and the guard refuses its target. */
const REMEMBERED_MICROS = millisToMicros(7 * 86_400_000);
const REQUESTS_MAX = 1_000_000; // A week of 140,000 a day; some kilobytes each.
const SECOND_MICROS = 1_000_000n;

export type SignerServiceOptions = {
  readonly key: KeyInUse;
  readonly logPath: string;
  readonly beginning: LogBeginning;
  readonly rules: SignerRules;
  readonly listening: Listening;
  readonly clock: Clock;
  readonly logger: Logger;
};

/** @throws PermanentError SIGNER_LOG_…, SIGNER_SOCKET_…: nothing listens then. */
export async function startSigner(options: SignerServiceOptions): Promise<SignerServer> {
  const { key, rules, clock, logger } = options;
  const nowMicros = (): Micros => clock.nowMicros();
  const log = await openOrBegin(options);
  try {
    if (log.cutBytes > 0) {
      logger.warn('An unfinished last line of the log was cut off: its signature never left.', { bytes: log.cutBytes });
    }
    const known = knownKeys(log.keys);
    if (!known.some(({ fingerprint }) => fingerprint === key.shown.fingerprint)) {
      await log.appendKey(key.shown.publicKey.export({ type: 'spki', format: 'der' }));
      known.push(key.shown);
    }
    const guard = createSigningGuard({ rules, past: log.past, signsFrom: log.signsFrom, nowMicros });
    const signer = createLoggedSigner({
      key,
      past: log.past,
      append: log.append,
      guard,
      nowMicros,
      rememberedMicros: REMEMBERED_MICROS,
      requestsMax: REQUESTS_MAX,
    });
    const { listening } = options;
    const server = await startSignerServer({ signer, knownKeys: () => known, listening, logger });
    const waitsUntil = log.signsFrom > nowMicros() ? log.signsFrom : null;
    logger.info('The signer listens.', {
      url: server.url,
      key: key.shown.fingerprint,
      signatures: log.past.length,
      limits: rules.limits.length,
      ...(waitsUntil !== null && { waitsUntil }),
    });
    return {
      url: server.url,
      close: async () => {
        await server.close();
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

async function openOrBegin({ logPath, beginning, rules, clock }: SignerServiceOptions) {
  const open = async () => await openLog(logPath, clock.nowMicros() - REMEMBERED_MICROS);
  try {
    return await open();
  } catch (error) {
    const isMissing = error instanceof PermanentError && error.code === 'SIGNER_LOG_MISSING';
    if (!isMissing || beginning === 'MISSING_IS_A_FAULT') throw error;
    const openedAt = clock.nowMicros();
    // What the lost one signed could have its target as far ahead as the rules let it.
    const wait = beginning === 'LOST' ? rules.targetSecondsMax * SECOND_MICROS : 0n;
    await createLog(logPath, { openedAt, signsFrom: openedAt + wait });
    return await open();
  }
}

function knownKeys(publicKeys: readonly Uint8Array[]): SigningKey[] {
  return publicKeys.map((publicKey) =>
    signingKeyOf(createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })),
  );
}
