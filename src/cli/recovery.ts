/** What a process needs to come through a database that went back in time: how long it waits, and what it makes lost withdrawals anew with. */

import type { Config } from '../config/config.ts';
import type { RestoreWindow } from '../db/database-restore.ts';
import { recoverRefund } from '../deposits/recovered-refund.ts';
import { type Clock, millisToMicros } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import { createPaymentRecovery } from '../withdrawals/recovered-payments.ts';
import { createOriginSeal, type OriginSeal } from '../withdrawals/transfer-metadata.ts';
import type { RecoverPayment } from '../withdrawals/withdrawal-sink.ts';

type SealConfig = Pick<Config, 'withdrawalKey' | 'withdrawalOrigin' | 'withdrawalOriginKeys'>;
type WindowConfig = Pick<Config, 'withdrawalTtlSeconds' | 'restoreMarginSeconds'>;
export type RecoveryConfig = SealConfig & WindowConfig;

/** For commands that read no more than this. */
export const RECOVERY_KEYS = [
  'withdrawalKey',
  'withdrawalOrigin',
  'withdrawalOriginKeys',
  'withdrawalTtlSeconds',
  'restoreMarginSeconds',
] as const;

export function restoreWindowOf({ withdrawalTtlSeconds, restoreMarginSeconds }: WindowConfig): RestoreWindow {
  return {
    ttlMicros: millisToMicros(withdrawalTtlSeconds * 1_000),
    marginMicros: millisToMicros(restoreMarginSeconds * 1_000),
  };
}

/** @returns null where there are no withdrawals. */
export function originSealOf({ withdrawalKey, withdrawalOrigin, withdrawalOriginKeys }: SealConfig): OriginSeal | null {
  if (withdrawalKey === null) return null;
  const bytes = (hex: string) => Buffer.from(hex, 'hex');
  return createOriginSeal({
    idKey: bytes(withdrawalKey.reveal()),
    keys: withdrawalOriginKeys.map(({ id, key }) => ({ id, key: bytes(key.reveal()) })),
    isSealing: withdrawalOrigin === 'on',
  });
}

/** What the sink of withdrawals asks about payments that nobody knows; undefined where there are no withdrawals. */
export function paymentRecoveryOf(
  config: RecoveryConfig,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): RecoverPayment | undefined {
  const seal = originSealOf(config);
  return seal === null
    ? undefined
    : createPaymentRecovery({ seal, clock, logger, window: restoreWindowOf(config), recoverRefund });
}
