/** What was said while it could not be acted on is acted on later, and one withdrawal that nobody can write about keeps no other from its second look. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WITHDRAWAL_SCREENING } from '../../src/policy/withdrawal-screening.ts';
import { applyWithdrawalEvent } from '../../src/withdrawals/withdrawal-store.ts';
import { HOUR, type PolicyScene, peopleFor, startPolicyScene } from './scene.ts';

const ALLOWED = { ...peopleFor(1, { approvals: 1, delaySeconds: 60 }), otherwise: 'ALLOW' };

let scene: PolicyScene;

beforeEach(async () => {
  scene = await startPolicyScene();
});

afterEach(async () => {
  await scene.database.close();
});

const apply = async (id: string, event: Parameters<typeof applyWithdrawalEvent>[2]) =>
  await scene.db
    .transaction()
    .execute(async (tx) => await applyWithdrawalEvent(tx, id, event, { nowMicros: scene.clock.nowMicros() }));

const takeOff = async (id: string) => await apply(id, { kind: 'ATTEMPT_OPENED' });
/** Its attempt is proven dead. */
const comeBack = async (id: string) =>
  await apply(id, { kind: 'ATTEMPT_DEAD', next: 'RETRY', isCancelRequested: false });

const leaveOf = async (id: string, at: bigint | null) =>
  (
    await sql<{ leave: string }>`
      SELECT policy_leave(id, verdict, network_id, ${at}::bigint) AS leave FROM withdrawal WHERE id = ${id}`.execute(
      scene.db,
    )
  ).rows[0]?.leave;

const approve = async (id: string, by: string) =>
  await scene.approvals.approve({ withdrawalId: id, by, why: 'fine', intentHash: await scene.hashOf(id) });

/** Proposes and approves it; it holds a minute later. */
async function change(policy: unknown): Promise<void> {
  const proposalId = await scene.changes.propose({ document: JSON.stringify(policy), why: 'because', by: 'root' });
  const { document_hash } = await scene.db
    .selectFrom('policy_proposal')
    .select('document_hash')
    .where('id', '=', proposalId)
    .executeTakeFirstOrThrow();
  await scene.changes.approve({ proposalId, hash: document_hash.toString('hex'), why: 'yes', by: 'carol' });
  scene.advance(60_000_000n);
}

test('what the policy denied while it was in flight ends when its attempt is dead, and waits for nobody', async () => {
  await scene.setPolicy(ALLOWED);
  const id = await scene.request();
  await takeOff(id);
  await change({ ...ALLOWED, otherwise: 'DENY' });
  await scene.pass();
  expect(await scene.stateOf(id)).toBe('IN_FLIGHT');

  await comeBack(id);
  await scene.pass();

  expect(await scene.rowOf(id)).toMatchObject({ state: 'FAILED', failure_code: 'POLICY_DENIED' });
  expect(await scene.bookedBack(id)).toBe(true);
});

test('what the screening service denied while it was in flight ends when its attempt is dead', async () => {
  await scene.setPolicy(ALLOWED);
  const id = await scene.request();
  await takeOff(id);
  await change({ ...ALLOWED, rules: [{ name: 'screened', when: {}, outcome: 'SCREEN' }] });
  await scene.pass();
  const [question] = await WITHDRAWAL_SCREENING.questionsOf(scene.db, [id]);
  await scene.db
    .transaction()
    .execute(
      async (tx) =>
        await WITHDRAWAL_SCREENING.record(
          tx,
          question!,
          { kind: 'DENY', caseId: 'case-1', reason: 'a mule' },
          scene.clock.nowMicros(),
        ),
    );
  expect(await scene.stateOf(id)).toBe('IN_FLIGHT');

  await comeBack(id);
  await scene.pass();

  expect(await scene.rowOf(id)).toMatchObject({
    state: 'FAILED',
    failure_code: 'SCREENING_DENIED',
    failure_detail: 'a mule',
  });
  expect(await scene.bookedBack(id)).toBe(true);
});

test('approvals that were given to an earlier question and run out before the next one does are asked for again, once', async () => {
  await scene.setPolicy(peopleFor(1, { approvals: 1, delaySeconds: 60 }));
  const id = await scene.request();
  await approve(id, 'bob');
  scene.advance(20n * HOUR);
  await change({ ...peopleFor(1, { approvals: 1, delaySeconds: 60 }), approvalSeconds: 80_000 });
  await scene.pass();
  expect(await leaveOf(id, scene.clock.nowMicros())).toBe('GIVEN');
  scene.advance(5n * HOUR);

  await scene.pass();
  await scene.pass();

  // What takes it for payable has no clock: it must not be taken for what the wall then refuses, at every pass.
  expect(await leaveOf(id, null)).toBe('APPROVALS');
  expect(await scene.rowOf(id)).toMatchObject({ state: 'QUEUED', verdict: 3 });
  await approve(id, 'bob');
  expect(await leaveOf(id, scene.clock.nowMicros())).toBe('GIVEN');
});

test('one that cannot be written about is in nobody else’s way', async () => {
  await scene.setPolicy(peopleFor(1));
  const [poison, other] = [await scene.request(), await scene.request()];
  await sql`
    CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation';
    END $$`.execute(scene.db);
  await sql`
    CREATE TRIGGER refuse_one BEFORE UPDATE ON withdrawal FOR EACH ROW WHEN (OLD.id = ${sql.lit(poison)})
      EXECUTE FUNCTION refuse_one()`.execute(scene.db);
  scene.advance(25n * HOUR);

  await scene.pass();

  expect(await scene.stateOf(poison)).toBe('AWAITING_APPROVAL');
  expect(await scene.stateOf(other)).toBe('REJECTED');
});
