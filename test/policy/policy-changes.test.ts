/** Nobody changes alone what others have to approve; and what holds decides, from the request to the signature. */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HOUR, type PolicyScene, peopleFor, startPolicyScene } from './scene.ts';

let scene: PolicyScene;

beforeEach(async () => {
  scene = await startPolicyScene();
});

afterEach(async () => {
  await scene.database.close();
});

const proposed = async (policy: unknown, by = 'admin') => {
  const proposalId = await scene.changes.propose({ document: JSON.stringify(policy), why: 'because', by });
  const { document_hash: hash } = await scene.db
    .selectFrom('policy_proposal')
    .select('document_hash')
    .where('id', '=', proposalId)
    .executeTakeFirstOrThrow();
  return { proposalId, hash: hash.toString('hex') };
};

const approvePolicy = async (proposal: { readonly proposalId: bigint; readonly hash: string }, by: string) =>
  await scene.changes
    .approve({ ...proposal, why: 'agreed', by })
    .then(() => 'DONE')
    .catch((error: { code: string }) => error.code);

const approve = async (withdrawalId: string, by: string) =>
  await scene.approvals
    .approve({ withdrawalId, by, why: 'looked at it', intentHash: await scene.hashOf(withdrawalId) })
    .then(() => 'DONE')
    .catch((error: { code: string }) => error.code);

const leave = async (id: string) =>
  (
    await sql<{ leave: string }>`
      SELECT policy_leave(id, verdict, network_id, NULL) AS leave FROM withdrawal WHERE id = ${id}`.execute(scene.db)
  ).rows[0]?.leave;

describe('Z23: who lowers a threshold and approves then', () => {
  test('Z23: needs others for the change, and time; and what waits keeps what was asked of it', async () => {
    await scene.setPolicy(peopleFor(3));
    const waiting = await scene.request({ client: 'exchange' });
    const lower = await proposed(peopleFor(1), 'admin/laptop');

    expect(await approvePolicy(lower, 'admin')).toBe('SAME_PERSON');
    expect(await approvePolicy(lower, 'admin/phone')).toBe('SAME_PERSON');
    expect(await approvePolicy(lower, 'bob')).toBe('DONE');
    expect(await approvePolicy(lower, 'bob/phone')).toBe('DONE');
    expect(await scene.db.selectFrom('policy_version').select('version').execute()).toEqual([{ version: 1 }]);
    expect(await approvePolicy(lower, 'carol')).toBe('DONE');

    // Enacted, and an hour is still to pass.
    const early = await scene.request();
    expect(await approve(early, 'admin')).toBe('DONE');
    expect(await scene.stateOf(early)).toBe('AWAITING_APPROVAL');
    scene.advance(HOUR);
    await scene.pass();

    const late = await scene.request();
    expect(await approve(late, 'admin')).toBe('DONE');
    expect(await scene.stateOf(late)).toBe('QUEUED');
    expect(await approve(waiting, 'admin')).toBe('DONE');
    expect(await approve(waiting, 'bob')).toBe('DONE');
    expect(await scene.stateOf(waiting)).toBe('AWAITING_APPROVAL');
    expect(await approve(waiting, 'carol')).toBe('DONE');
    expect(await scene.stateOf(waiting)).toBe('QUEUED');
  });

  test('Z23: cannot get around that in the database', async () => {
    await scene.setPolicy(peopleFor(3));
    const { proposalId } = await proposed(peopleFor(1));
    const now = scene.clock.nowMicros();
    const enact = async (effectiveAt: bigint) =>
      await sql`
        INSERT INTO policy_version (network_id, version, proposal_id, enacted_at, effective_at)
        SELECT network_id, 2, id, ${now}, ${effectiveAt} FROM policy_proposal WHERE id = ${proposalId}`.execute(
        scene.db,
      );
    const judge = async (by: string) =>
      await sql`
        INSERT INTO policy_judgement (proposal_id, decision, document_hash, judged_by, judged_at, why)
        SELECT id, 'APPROVE', document_hash, ${by}, ${now}, 'x' FROM policy_proposal WHERE id = ${proposalId}`.execute(
        scene.db,
      );

    await expect(enact(now + 10n * HOUR)).rejects.toThrow('enough approvals');
    await expect(judge('ADMIN/x')).rejects.toThrow('somebody else than its proposer');
    await judge('bob');
    await expect(judge('bob/phone')).rejects.toThrow('duplicate key');
    await judge('carol');
    await expect(enact(now)).rejects.toThrow('after its delay');
    await enact(now + HOUR);
    await expect(sql`UPDATE policy_in_force SET version = 2, since = ${now}`.execute(scene.db)).rejects.toThrow(
      'when its time has come',
    );
    await expect(sql`UPDATE policy_proposal SET document = document`.execute(scene.db)).rejects.toThrow(
      'never changed',
    );
  });

  test('Z23: a second change hurried past an enacted first one is refused', async () => {
    await scene.setPolicy(peopleFor(3));
    const [stricter, hurried] = [
      await proposed(peopleFor(3, { approvals: 5, delaySeconds: 86_400 })),
      await proposed(peopleFor(1)),
    ];
    await approvePolicy(hurried, 'bob');
    for (const by of ['bob', 'carol']) await approvePolicy(stricter, by);

    expect(await approvePolicy(hurried, 'carol')).toBe('PROPOSAL_CLOSED');
    const next = await proposed(peopleFor(1));
    for (const by of ['bob', 'carol', 'dave', 'erin']) expect(await approvePolicy(next, by)).toBe('DONE');
    expect((await scene.db.selectFrom('policy_version').select('version').execute()).length).toBe(2);
    expect(await approvePolicy(next, 'frank')).toBe('DONE');
    const { effective_at, enacted_at } = await scene.db
      .selectFrom('policy_version')
      .selectAll()
      .where('version', '=', 3)
      .executeTakeFirstOrThrow();
    expect(effective_at - enacted_at).toBe(24n * HOUR);
  });
});

test('without a policy everything is allowed, and the first one is set by who runs the installation', async () => {
  const id = await scene.request({ amount: '1000000' });
  expect(await scene.stateOf(id)).toBe('QUEUED');
  await expect(proposed(peopleFor(1))).rejects.toMatchObject({ code: 'POLICY_NOT_SET' });

  await scene.setPolicy(peopleFor(1));

  await expect(scene.setPolicy(peopleFor(2))).rejects.toMatchObject({ code: 'PROPOSAL_CLOSED' });
  expect(await scene.stateOf(await scene.request())).toBe('AWAITING_APPROVAL');
  expect(await leave(id)).toBe('UNJUDGED');
});

test('a policy that nobody can read is refused with every fault', async () => {
  await expect(scene.setPolicy({ ...peopleFor(0), otherwise: 'MAYBE', extra: 1 })).rejects.toMatchObject({
    code: 'POLICY_INVALID',
  });
});

describe('the second look', () => {
  const first = { ...peopleFor(1), otherwise: 'ALLOW' };

  async function change(policy: unknown) {
    const proposal = await proposed(policy);
    for (const by of ['bob', 'carol']) await approvePolicy(proposal, by);
    scene.advance(HOUR);
  }

  test('holds back what was allowed, lets it go on when people agree, and fails what is denied now', async () => {
    await scene.setPolicy(first);
    const id = await scene.request();
    expect(await leave(id)).toBe('GIVEN');

    await change(peopleFor(1));
    await scene.pass();

    expect(await scene.stateOf(id)).toBe('QUEUED');
    expect(await leave(id)).toBe('APPROVALS');
    await expect(sql`UPDATE withdrawal SET state = 'IN_FLIGHT' WHERE id = ${id}`.execute(scene.db)).rejects.toThrow(
      'APPROVALS',
    );
    expect(await approve(id, 'dave')).toBe('DONE');
    expect(await leave(id)).toBe('GIVEN');

    await change({ ...first, otherwise: 'DENY' });
    await scene.pass();

    expect(await scene.rowOf(id)).toMatchObject({ state: 'FAILED', failure_code: 'POLICY_DENIED' });
    expect(await scene.bookedBack(id)).toBe(true);
  });

  test('nothing is paid between the moment that a version holds and the second look', async () => {
    await scene.setPolicy(first);
    const id = await scene.request();
    await change({ ...first, otherwise: 'DENY' });

    const after = await scene.request();

    expect(await scene.rowOf(after)).toMatchObject({ state: 'REJECTED', failure_code: 'POLICY_DENIED' });
    expect(await scene.bookedBack(after)).toBe(true);
    expect(await leave(id)).toBe('UNJUDGED');
    await expect(sql`UPDATE withdrawal SET state = 'IN_FLIGHT' WHERE id = ${id}`.execute(scene.db)).rejects.toThrow(
      'UNJUDGED',
    );
  });

  test('a withdrawal that was never judged is judged before it is paid', async () => {
    const id = await scene.request();
    await sql`ALTER TABLE withdrawal DISABLE TRIGGER withdrawal_stays_as_judged`.execute(scene.db);
    await sql`UPDATE withdrawal SET verdict = 0 WHERE id = ${id}`.execute(scene.db);
    await sql`ALTER TABLE policy_verdict DISABLE TRIGGER policy_verdict_stays`.execute(scene.db);
    await sql`DELETE FROM policy_verdict WHERE withdrawal_id = ${id}`.execute(scene.db);
    expect(await leave(id)).toBe('GIVEN');
    await scene.setPolicy(peopleFor(1));
    expect(await leave(id)).toBe('UNJUDGED');

    await scene.pass();

    expect(await leave(id)).toBe('APPROVALS');
  });

  test('two loops at once judge each once', async () => {
    await scene.setPolicy(first);
    const ids = await Promise.all(Array.from({ length: 10 }, async () => await scene.request()));
    await change(peopleFor(1));

    await Promise.all([scene.pass(), scene.pass(), scene.pass()]);
    await scene.pass();

    const rows = await scene.db.selectFrom('withdrawal').select('verdict').where('id', 'in', ids).execute();
    expect(rows.map(({ verdict }) => verdict)).toEqual(ids.map(() => 2));
  });
});
