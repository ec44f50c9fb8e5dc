/** A withdrawal that the policy wants screened is not paid before the service has said yes: whatever it does instead of answering, nothing is queued; a no is the end, with the money booked back. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { createScreeningClient } from '../../src/deposits/screening-client.ts';
import { runScreening } from '../../src/deposits/screening-loop.ts';
import { type Failpoint, noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { WITHDRAWAL_SCREENING } from '../../src/policy/withdrawal-screening.ts';
import { readStuckWithdrawals } from '../../src/read/stuck-withdrawals.ts';
import { failOverdue } from '../../src/withdrawals/overdue.ts';
import { retryNow } from '../../src/withdrawals/retry-now.ts';
import { eventually } from '../support/eventually.ts';
import { DAY } from '../support/rows.ts';
import {
  type Behaviour,
  SCREENING_SECRET,
  type ScreeningServer,
  startScreeningServer,
} from '../support/screening-server.ts';
import { type PolicyScene, startPolicyScene } from './scene.ts';

const SCREENED = {
  change: { approvals: 1, delaySeconds: 3_600 },
  approvalSeconds: 3_600,
  otherwise: 'ALLOW',
  rules: [
    { name: 'screened', when: {}, outcome: 'SCREEN' },
    { name: 'large', when: { amountAbove: '100' }, outcome: { approvals: 1 } },
  ],
};
const PATIENT = { deadlineMs: 20_000, clock: systemClock };

let scene: PolicyScene;
let service: ScreeningServer;
const stopping: (() => Promise<void>)[] = [];
/** Resolves when a loop stands still for good, as one that was killed. */
let hung = new Promise<void>(() => undefined);

beforeEach(async () => {
  scene = await startPolicyScene();
  service = await startScreeningServer('hang');
  await scene.setPolicy(SCREENED);
});

afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop();
  await service.stop();
  await scene.database.close();
});

function startLoop(failpoint: Failpoint = noFailpoints, triesMax = 50): void {
  const ending = new AbortController();
  const running = runScreening({
    db: scene.db,
    kind: WITHDRAWAL_SCREENING,
    client: createScreeningClient({
      url: service.url,
      secret: SCREENING_SECRET,
      fetch,
      clock: systemClock,
      timeoutMs: 200,
    }),
    limits: { triesMax, delayMsMin: 50, delayMsMax: 200, pendingDelayMs: 100, holdMs: 1_000 },
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger('silent'),
    failpoint,
    wakeUp: createWakeUp(systemClock),
    signal: ending.signal,
  });
  const failed = running.catch((error: unknown) => error);
  stopping.push(async () => {
    ending.abort();
    await Promise.race([failed, hung]);
  });
}

const become = async (id: string, state: string) =>
  await eventually(async () => expect(await scene.stateOf(id)).toBe(state), PATIENT);

const questions = async (id: string) =>
  await scene.db
    .selectFrom('withdrawal_screening')
    .selectAll()
    .where('withdrawal_id', '=', id)
    .executeTakeFirstOrThrow();

test.each<Behaviour>(['hang', 'status500', 'unsigned', 'otherSecret', 'otherTransfer', 'replayedQuestion'])(
  'no answer is a no: nothing is queued while the service does %s, and once it allows, it is',
  async (behaviour) => {
    service.behave(behaviour);
    const id = await scene.request();
    startLoop();
    await eventually(async () => expect((await questions(id)).tries).toBeGreaterThan(1), PATIENT);
    expect(await scene.stateOf(id)).toBe('AWAITING_APPROVAL');

    service.behave('allow');

    await become(id, 'QUEUED');
    expect((await questions(id)).state).toBe('ALLOWED');
  },
);

test('a no ends it before anything is signed, and books it back', async () => {
  service.behave('deny');
  const id = await scene.request();
  startLoop();

  await become(id, 'REJECTED');

  expect((await scene.rowOf(id)).failure_code).toBe('SCREENING_DENIED');
  expect(await scene.bookedBack(id)).toBe(true);
});

test('a question that was parked, because there was no answer for so long, is put again when a person says so', async () => {
  service.behave('status500');
  const id = await scene.request();
  startLoop(noFailpoints, 2);
  await eventually(async () => expect((await questions(id)).state).toBe('PARKED'), PATIENT);
  service.behave('allow');

  await retryNow(scene.db, id, { triesMax: 8, nowMicros: systemClock.nowMicros() });

  await become(id, 'QUEUED');
  // It has answered: what waits in the queue has nothing that could be tried sooner.
  await expect(retryNow(scene.db, id, { triesMax: 8, nowMicros: systemClock.nowMicros() })).rejects.toMatchObject({
    code: 'NOTHING_TO_TRY',
  });
});

test('what waits for the service alone is told of as that, in minutes, and not to those who approve', async () => {
  const id = await scene.request();
  const both = await scene.request({ amount: '101' });
  const stuckAfter = async (minutes: number) => {
    const nowMicros = scene.clock.nowMicros() + BigInt(minutes) * 60_000_000n;
    const stuck = await readStuckWithdrawals(scene.db, { nowMicros, recordTimeAheadMsMax: 60_000, limit: 9 });
    return stuck.map((one) => [one.id, one.code]);
  };

  expect(await stuckAfter(4)).toEqual([]);
  expect(await stuckAfter(6)).toEqual([[id, 'NOT_JUDGED']]);
  // It answers that it is still looking.
  const pending = scene.clock.nowMicros() + 3_600_000_000n;
  await sql`UPDATE withdrawal_screening SET next_try_at = ${pending} WHERE withdrawal_id = ${id}`.execute(scene.db);
  expect(await stuckAfter(6)).toEqual([]);
  await sql`UPDATE withdrawal_screening SET last_error = 'HTTP 500' WHERE withdrawal_id = ${id}`.execute(scene.db);
  expect(new Map((await stuckAfter(61)).map(([key, code]) => [key, code]))).toEqual(
    new Map([
      [id, 'NOT_JUDGED'],
      [both, 'APPROVAL'],
    ]),
  );
});

test('what nobody can read is not given up by the service: the ledger may have it queued again', async () => {
  const id = await scene.request();
  await sql`UPDATE withdrawal SET state = 'UNRESOLVED' WHERE id = ${id}`.execute(scene.db);

  await WITHDRAWAL_SCREENING.catchUp?.(scene.db, scene.clock.nowMicros());

  expect((await questions(id)).state).toBe('WAITING');
});

test('what waits for its leave when the ledger passes its deadline fails, booked back, and whoever was asked is told', async () => {
  const deadline = DAY + 30_000_000n;
  const id = await scene.request({ deadline });
  await scene.rows.stream({}, deadline);
  await sql`
    INSERT INTO ledger_update (treasury_id, epoch, update_id, ledger_offset, record_time, synchronizer_id, kind, received)
    SELECT treasury_id, 1, '1220ff', 1, ${DAY}, synchronizer_id, 'TRANSACTION', '\\x00' FROM synchronizer_time`.execute(
    scene.db,
  );
  const treasury = await scene.rows.treasury();
  const overdue = async () => await failOverdue(scene.db, treasury, scene.clock.nowMicros());
  expect(await overdue()).toBe(0);
  await scene.rows.stream({}, deadline + 1n);

  expect([await overdue(), await overdue()]).toEqual([1, 0]);

  expect(await scene.rowOf(id)).toMatchObject({ state: 'FAILED', failure_code: 'DEADLINE_PASSED' });
  expect(await scene.bookedBack(id)).toBe(true);
  const { rows } = await sql<{ change: string }>`
    SELECT payload ->> 'change' AS change FROM event_outbox WHERE type = 'withdrawal.approval' AND subject = ${id} ORDER BY seq`.execute(
    scene.db,
  );
  expect(rows.map(({ change }) => change)).toEqual(['ASKED', 'EXPIRED']);
});

test('people and the service both have to say yes, in whichever order', async () => {
  const approve = async (id: string) =>
    await scene.approvals.approve({ withdrawalId: id, by: 'bob', why: 'fine', intentHash: await scene.hashOf(id) });
  const [peopleFirst, serviceFirst] = [await scene.request({ amount: '101' }), await scene.request({ amount: '102' })];
  await approve(peopleFirst);
  expect(await scene.stateOf(peopleFirst)).toBe('AWAITING_APPROVAL');
  service.behave('allow');
  startLoop();

  await become(peopleFirst, 'QUEUED');
  await eventually(async () => expect((await questions(serviceFirst)).state).toBe('ALLOWED'), PATIENT);
  expect(await scene.stateOf(serviceFirst)).toBe('AWAITING_APPROVAL');
  await approve(serviceFirst);
  expect(await scene.stateOf(serviceFirst)).toBe('QUEUED');
});

test('whoever speaks when enough people have said yes, and the question’s time is over, is told that nobody is asked any more', async () => {
  const id = await scene.request({ amount: '101' });
  const judgement = async (by: string) => ({ withdrawalId: id, by, why: 'looked', intentHash: await scene.hashOf(id) });
  scene.advance(3_599_000_000n);
  await scene.approvals.approve(await judgement('bob'));
  scene.advance(2_000_000n);

  await expect(scene.approvals.approve(await judgement('carol'))).rejects.toMatchObject({ code: 'NOT_AWAITING' });
  await expect(scene.approvals.refuse(await judgement('carol'))).rejects.toMatchObject({ code: 'NOT_AWAITING' });
  await scene.pass();

  expect(await scene.stateOf(id)).toBe('AWAITING_APPROVAL');
  service.behave('allow');
  startLoop();
  await become(id, 'QUEUED');
});

test.each(['screening.beforeCall', 'screening.afterAnswer', 'screening.afterVerdict'] as const)(
  'a loop that dies at %s is followed by another, and the verdict counts once',
  async (where) => {
    service.behave('allow');
    const id = await scene.request();
    const dead = Promise.withResolvers<void>();
    hung = dead.promise;
    startLoop(async (name) => {
      if (name !== where) return;
      dead.resolve();
      await new Promise(() => undefined);
    });
    await dead.promise;

    startLoop();

    await become(id, 'QUEUED');
    const told = await scene.db
      .selectFrom('event_outbox')
      .select('event_id')
      .where('subject', '=', id)
      .where('type', '=', 'withdrawal.approval')
      .execute();
    expect(told.length).toBe(3);
  },
);
