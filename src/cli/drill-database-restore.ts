/**
 * The database is put back to a backup while the exchange has gone on: customers were paid since, payouts were on their way, money was frozen and a key taken away. Then every payout that was ever asked for is asked
 * for again, under its old key.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { DatabaseRestoredError, WENT_BACK } from '../db/database-restore.ts';
import { PermanentError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { liftFreeze, openFreeze } from '../ingestion/freezes.ts';
import { haltMoney, liftHalt } from '../submissions/halts.ts';
import type { DrillDatabase } from './drill-database.ts';
import type { Scene } from './drill-scene.ts';

const LAST_PAYOUTS = 5;
const ANCHOR_MS = 2_500; // It is written once a second.
const REOPENED_MS_MAX = 90_000;
const KEPT_KEY = 'drill-key-that-is-kept';
const REVOKED_KEY = 'drill-key-that-is-taken-away';

/** @returns whether the books agree with the network before and after, and nothing that stood still moved. */
export async function drillDatabaseRestore(scene: Scene): Promise<boolean> {
  const { database } = scene;
  if (database === null) throw new RangeError('This drill has a database of its own.');
  const folder = await mkdtemp(join(tmpdir(), 'sluice-drill-'));
  try {
    return await rehearse(scene, database, join(folder, 'anchor'));
  } finally {
    // It writes there once a second, for as long as it runs.
    await scene.stopService();
    await rm(folder, { recursive: true, force: true });
  }
}

async function rehearse(scene: Scene, database: DrillDatabase, anchorFile: string): Promise<boolean> {
  const { say, clock } = scene;
  await scene.stopService();
  await scene.startService({
    SLUICE_ROLE: 'all',
    SLUICE_PORT: '0',
    SLUICE_ANCHOR_FILE: anchorFile,
    SLUICE_RESTORE_MARGIN_SECONDS: '2',
    SLUICE_API_KEYS: [keyEntry('kept', KEPT_KEY), keyEntry('revoked', REVOKED_KEY)].join(','),
  });
  scene.startLoad();
  await scene.moreLoad(60);
  await scene.stopLoad();
  const isRightBefore = await scene.compare('Before');
  say('');
  const early = scene.requests().length;
  scene.startLoad();
  await scene.moreLoad(5);
  await scene.stopService();
  await database.backUp();
  say(
    `A backup is made; ${scene.requests().length} payouts had been asked for, ${scene.requests().length - early} of them just now.`,
  );

  await scene.startService({ SLUICE_API_KEYS: keyEntry('kept', KEPT_KEY) });
  await scene.moreLoad(60);
  await scene.stopLoad();
  const held = await standStill(scene);
  say('Customers go on. A token is frozen, another one halted, an API key taken away.');
  await clock.sleep(ANCHOR_MS);
  for (let each = 0; each < LAST_PAYOUTS; each += 1) await scene.payOutOnce();
  const asked = scene.requests().length;
  await scene.stopService();
  await database.restore();
  say(
    `${asked} payouts had been asked for, the last ${LAST_PAYOUTS} of them a moment ago. The database is lost, and the backup put in its place.`,
  );

  await scene.startService();
  const { db } = scene.service();
  const { known } = await readRestore(db);
  say(`It is noticed. The backup knows ${known} payouts; ${asked - known} are gone. Payouts are frozen.`);
  const isRefused = await expectRefused(scene);
  await untilReopened(scene);
  const rebuilt = await readRestore(db);
  say(
    `The ledger has been read past ${formatRecordTime(rebuilt.safeRecordTime)}: ${rebuilt.recovered} payouts were made anew from it, ${rebuilt.found} were found to be paid. Payouts go on.`,
  );
  const isKept = await stoodStill(scene, held);

  const { replayed, fresh } = await askAgain(scene);
  say(
    `Every old key is sent again: ${replayed} meet their payout, ${fresh} never reached the ledger and are taken anew.`,
  );
  if (rebuilt.recovered === 0) say('NOTHING HAD TO BE MADE ANEW: the drill proves nothing.');
  const isRightAfter = await scene.compare('After the restore', { isActionsCompared: false });
  return isRightBefore && isRightAfter && isRefused && isKept && rebuilt.recovered > 0;
}

function keyEntry(name: string, key: string): string {
  return `${name}:read:${createHash('sha256').update(key).digest('hex')}`;
}

type Held = { readonly haltId: string };

/** Freezes one instrument that nobody is paid in, and halts another one. */
async function standStill(scene: Scene): Promise<Held> {
  const [frozen, halted] = otherInstruments(scene);
  const { db } = scene.service();
  const row = await db
    .selectFrom('instrument')
    .innerJoin('network', 'network.id', 'instrument.network_id')
    .select('instrument.id')
    .where('network.name', '=', scene.networkName)
    .where('admin', '=', frozen.admin)
    .where('instrument_id', '=', frozen.id)
    .executeTakeFirstOrThrow();
  const nowMicros = scene.clock.nowMicros();
  await openFreeze(db, {
    treasuryId: null,
    instrumentKey: row.id,
    reason: 'OPERATOR',
    detail: 'A drill.',
    cause: 'drill',
    openedBy: 'drill',
    nowMicros,
  });
  const { haltId } = await haltMoney(
    db,
    { treasury: null, instrument: halted },
    { by: 'drill', why: 'A drill.', nowMicros },
  );
  return { haltId };
}

function otherInstruments({ network }: Scene) {
  const [, first, second] = network.tokens.map(({ instrumentId }) => instrumentId);
  if (first === undefined || second === undefined) throw new RangeError('The network has three instruments.');
  return [first, second] as const;
}

/** What stood still before stands still now, and the key that was taken away opens nothing. Then both are lifted. */
async function stoodStill(scene: Scene, { haltId }: Held): Promise<boolean> {
  const { db, url } = scene.service();
  const nowMicros = scene.clock.nowMicros();
  const frozen = await db
    .selectFrom('money_freeze')
    .select('id')
    .where('cause', '=', 'drill')
    .where('lifted_at', 'is', null)
    .executeTakeFirst();
  const halt = await db
    .selectFrom('halt')
    .select('id')
    .where('id', '=', haltId)
    .where('lifted_at', 'is', null)
    .executeTakeFirst();
  const [kept, revoked] = [await statusFor(url, KEPT_KEY), await statusFor(url, REVOKED_KEY)];
  const isRight = frozen !== undefined && halt !== undefined && kept === 200 && revoked === 401;
  scene.say(
    isRight
      ? 'What was frozen is frozen, what was halted is halted, and the key that was taken away opens nothing.'
      : `WHAT STOOD STILL DOES NOT: frozen ${frozen !== undefined}, halted ${halt !== undefined}, keys answer ${kept} and ${revoked}.`,
  );
  if (frozen !== undefined) await liftFreeze(db, { id: frozen.id, by: 'drill', detail: 'It was a drill.', nowMicros });
  if (halt !== undefined) {
    await liftHalt(db, haltId, { by: 'drill', why: 'It was a drill.', nowMicros });
    await liftHalt(db, haltId, { by: 'second drill', why: 'It was a drill.', nowMicros });
  }
  return isRight;
}

async function statusFor(url: string | null, key: string): Promise<number> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query: '{ __typename }' }),
  });
  await response.text();
  return response.status;
}

/** A payout that nobody knows any more is not taken before it is certain that it was not paid. */
async function expectRefused(scene: Scene): Promise<boolean> {
  const last = scene.requests().at(-1);
  if (last === undefined) throw new RangeError('Nothing was asked for.');
  try {
    await scene.service().withdrawals?.create(last);
  } catch (error) {
    if (!(error instanceof DatabaseRestoredError)) throw error;
    scene.say(`The last payout is asked for again: refused until ${formatRecordTime(error.safeRecordTime)}.`);
    return true;
  }
  // Read again from the ledger already, or lost and paid twice: the comparison tells.
  scene.say('The last payout is asked for again: the ledger has shown it already.');
  return true;
}

async function untilReopened(scene: Scene): Promise<void> {
  const deadline = scene.clock.nowMicros() + BigInt(REOPENED_MS_MAX) * 1_000n;
  for (;;) {
    const standing = await scene
      .service()
      .db.selectFrom('money_freeze')
      .select('id')
      .where('reason', '=', WENT_BACK)
      .where('lifted_at', 'is', null)
      .executeTakeFirst();
    if (standing === undefined) return;
    if (scene.clock.nowMicros() > deadline)
      throw new PermanentError('DRILL_TIMEOUT', `Payouts were still frozen after ${REOPENED_MS_MAX / 1_000} s.`);
    await scene.clock.sleep(100);
  }
}

async function askAgain(scene: Scene): Promise<{ readonly replayed: number; readonly fresh: number }> {
  let replayed = 0;
  for (const request of scene.requests()) {
    const created = await scene.service().withdrawals?.create(request);
    if (created?.isReplayed === true) replayed += 1;
  }
  return { replayed, fresh: scene.requests().length - replayed };
}

async function readRestore(db: Database) {
  const { rows } = await sql<{ known: number; recovered: number; found: number; safeRecordTime: bigint }>`
    SELECT (SELECT count(*)::int FROM withdrawal) AS known,
      (SELECT count(*)::int FROM withdrawal WHERE recovered_at IS NOT NULL) AS recovered,
      (SELECT count(DISTINCT r.withdrawal_id)::int FROM restored_withdrawal r JOIN withdrawal w ON w.id = r.withdrawal_id WHERE w.state = 'COMPLETED') AS found,
      (SELECT coalesce(max(safe_record_time), 0)::bigint FROM database_restore) AS "safeRecordTime"`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new RangeError('A query without a row.');
  return row;
}
