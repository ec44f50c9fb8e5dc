/** Those that ingestion tells, in its order: the same wherever an update is read, be it for the first time, late or once more. */
import { createTreasurySink } from '../books/treasury-sink.ts';
import { createOfferSink } from '../deposits/acceptance/offer-sink.ts';
import { createDepositSink } from '../deposits/deposit-sink.ts';
import type { Clock, Micros } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { EffectSink } from '../ingestion/effect-sink.ts';
import { createSelfTransferSink } from '../withdrawals/pool/self-transfer-sink.ts';
import { createWithdrawalSink, type RecoverPayment } from '../withdrawals/withdrawal-sink.ts';

/**
 * @param screenedSince as `createDepositSink` has it.
 * @param recover as `createWithdrawalSink` has it.
 */
export function createSinks({
  clock,
  logger,
  screenedSince = null,
  recover,
}: {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly screenedSince?: Micros | null;
  readonly recover?: RecoverPayment | undefined;
}): readonly EffectSink[] {
  return [
    createDepositSink({ clock, screenedSince }),
    createTreasurySink(),
    createWithdrawalSink({ clock, logger, ...(recover !== undefined && { recover }) }),
    createSelfTransferSink({ clock }),
    createOfferSink({ clock }),
  ];
}
