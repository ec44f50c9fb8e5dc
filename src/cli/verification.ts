/** The background comparison of a worker process: one loop per treasury party, each with a session of its own at the participants. */
import { runVerificationLoop, type VerificationLoopOptions } from '../books/verification-loop.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { ServiceLoops } from './service-loops.ts';

export function startVerification({
  treasuries,
  openLedger,
  working,
  ...options
}: Omit<VerificationLoopOptions, 'treasury' | 'ledger' | 'signal'> & {
  readonly treasuries: readonly Treasury[];
  readonly openLedger: () => Ledger;
  readonly working: ServiceLoops;
}): void {
  for (const treasury of treasuries) {
    working.run(
      `verification of ${treasury.name}`,
      async (signal) => await runVerificationLoop({ ...options, ledger: openLedger(), treasury, signal }),
    );
  }
}
