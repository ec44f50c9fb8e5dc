/** Deposits that a screening service is asked about: a scene with screening on, a service that does as it is told, and the loop that asks it. */
import type { Selectable } from 'kysely';
import { expect } from 'vitest';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { depositScreening } from '../../src/deposits/deposit-screening.ts';
import { createScreeningClient } from '../../src/deposits/screening-client.ts';
import { runScreening, type ScreeningLimits } from '../../src/deposits/screening-loop.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import type { ScreeningTable } from '../../src/gen/db.ts';
import { eventually } from '../support/eventually.ts';
import { SCREENING_SECRET, type ScreeningServer, startScreeningServer } from '../support/screening-server.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

export type ScreenedScene = {
  readonly scene: DepositScene;
  readonly service: ScreeningServer;
  /** Until the scene is closed. */
  startLoop(limits?: Partial<ScreeningLimits>, timeoutMs?: number): void;
  /** Of alice, stored. @returns its transfer. */
  deposit(amount?: string): Promise<string>;
  screening(
    transferId: string,
  ): Promise<Pick<Selectable<ScreeningTable>, 'state' | 'last_error' | 'case_id' | 'reason'>>;
  become(transferId: string, state: string): Promise<void>;
  close(): Promise<void>;
};

const LIMITS: ScreeningLimits = { triesMax: 50, delayMsMin: 50, delayMsMax: 200, pendingDelayMs: 100, holdMs: 2_000 };
export const PATIENT = { deadlineMs: 20_000 };

/** The service hangs until it is told otherwise. */
export async function startScreenedScene(): Promise<ScreenedScene> {
  const scene = await startDepositScene({ isScreening: true });
  const service = await startScreeningServer('hang');
  const stopping: (() => Promise<void>)[] = [];
  const screening: ScreenedScene['screening'] = async (transferId) =>
    await scene.database.db
      .selectFrom('screening')
      .select(['state', 'last_error', 'case_id', 'reason'])
      .where('transfer_id', '=', transferId)
      .executeTakeFirstOrThrow();
  return {
    scene,
    service,
    startLoop: (limits = {}, timeoutMs = 200) => {
      const ending = new AbortController();
      const running = runScreening({
        db: scene.database.db,
        kind: depositScreening(scene.withdrawals),
        client: createScreeningClient({
          url: service.url,
          secret: SCREENING_SECRET,
          fetch,
          clock: systemClock,
          timeoutMs,
        }),
        limits: { ...LIMITS, ...limits },
        clock: systemClock,
        random: systemRandom,
        logger: createSystemLogger('silent'),
        failpoint: noFailpoints,
        wakeUp: createWakeUp(systemClock),
        signal: ending.signal,
      });
      stopping.push(async () => {
        ending.abort();
        await running;
      });
    },
    deposit: async (amount = '5') => {
      scene.pay({ amount, memo: 'alice-memo' });
      await scene.settled();
      return (await scene.transferIds()).at(-1) ?? '';
    },
    screening,
    become: async (transferId, state) =>
      await eventually(async () => expect((await screening(transferId)).state).toBe(state), PATIENT),
    close: async () => {
      for (const stop of stopping.splice(0)) await stop();
      await service.stop();
      await scene.close();
    },
  };
}
