/**
 * The invariants. Some are looked at after every transaction that commits, on a connection that no simulated process has; all of them once everything has come to
 * rest. They compare the database with the network's own truth, never with what the code under test says of itself.
 */
import type pg from 'pg';
import { checkBooks } from '../../src/books/check-books.ts';
import type { Database } from '../../src/db/connection.ts';
import { CRASH_LOOP } from '../../src/ingestion/crash-guard.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import type { Acceptances } from './acceptances.ts';
import type { Halts } from './halts.ts';
import type { Hiding } from './hiding.ts';
import type { Marks } from './marks.ts';
import type { Orders } from './orders.ts';
import type { Payables } from './payables.ts';
import { createPayoutReferee, PAYOUT_VIEW, type PayoutView } from './payout-referee.ts';
import type { Policies } from './policies.ts';
import type { Pools } from './pools.ts';
import {
  checkAnnouncements,
  checkDeposits,
  checkEvents,
  checkHoldings,
  checkRanks,
  checkReceived,
  checkUpdates,
  isEqual,
} from './rest-checks.ts';
import type { Screenings } from './screenings.ts';
import type { Traffic } from './traffic.ts';
import type { Truth } from './truth.ts';
import { must } from './violation.ts';

export type Referee = {
  /** @throws Violation. What must hold after every commit. @returns whether anything changed but what is known of the passing of time. */
  afterCommit(): Promise<boolean>;
  /** The database went back to an earlier commit, and the ledger did not. */
  wentBack(): void;
  /** Whether the stream waits for an operator. */
  isHalted(): boolean;
  /** Whether all that was ordered was placed and has come to its end, as of the newest commit. */
  areOrdersDone(): boolean;
  /** Whether everything has arrived, as of the newest commit: the stream at the ledger's end, every event numbered, every one of them received. */
  isAtRest(): boolean;
  /** Whether every subscriber has every event of the log, as of the newest commit. */
  isReceived(): boolean;
  /** @throws Violation. Everything, when nobody works any more. @returns a hash of what the database ended with. */
  atRest(): Promise<string>;
  /** For the report of a schedule that does not come to rest. */
  describe(): Promise<unknown>;
};

export type RefereeOptions = {
  readonly observer: pg.Client;
  readonly db: Database;
  /** For the comparison with a rebuild (rebuilding.ts). */
  readonly rebuildDb: Database;
  readonly truth: Truth;
  readonly traffic: Traffic;
  readonly orders: Orders;
  readonly payables: Payables;
  readonly halts: Halts;
  readonly marks: Marks;
  readonly pools: Pools;
  readonly policies: Policies;
  readonly acceptances: Acceptances;
  readonly screenings: Screenings;
  /** Whether a database that went back is known to have, by the epoch of its log (lost-history.ts). */
  readonly isRestoreNoticed: (logEpoch: string) => boolean;
  /** Event ids as each subscriber has them. */
  readonly received: () => readonly (readonly string[])[];
  /** Whether each of them reads the log that has this epoch. */
  readonly isFollowing: (logEpoch: string) => boolean;
  /** Where the participant hides what happens, nothing that was ingested can be compared with the truth. */
  readonly hidden: Hiding['mode'];
};

type Snapshot = {
  readonly treasuryId: number;
  readonly epoch: number;
  readonly offset: string;
  readonly fencingToken: string;
  readonly status: string;
  readonly statusReason: string | null;
  readonly updatesCount: string;
  readonly updates: string;
  readonly newestUpdateId: string | null;
  readonly verifiedUpdateId: string | null;
  readonly quarantined: string;
  readonly lastPosition: string;
  readonly logEpoch: string;
  readonly events: string;
  readonly headPosition: string;
  readonly outbox: string;
  readonly recordTime: string | null;
  readonly held: Readonly<Record<string, string>>;
  readonly booked: Readonly<Record<string, string>>;
};

const SNAPSHOT = `
  SELECT s.treasury_id AS "treasuryId", s.epoch, s.ledger_offset::text AS offset, s.fencing_token::text AS "fencingToken", s.status,
         s.status_reason AS "statusReason", s.updates_count::text AS "updatesCount", s.verified_update_id AS "verifiedUpdateId",
         (SELECT count(*)::text FROM ledger_update) AS updates,
         (SELECT update_id FROM ledger_update ORDER BY epoch DESC, ledger_offset DESC LIMIT 1) AS "newestUpdateId",
         (SELECT count(*)::text FROM quarantine) AS quarantined,
         l.last_position::text AS "lastPosition", l.epoch AS "logEpoch",
         (SELECT count(*)::text FROM event) AS events,
         (SELECT coalesce(max(position), 0)::text FROM event) AS "headPosition",
         (SELECT count(*)::text FROM event_outbox) AS outbox,
         (SELECT max(record_time)::text FROM synchronizer_time WHERE starts_with(synchronizer_id, 'global-domain::')) AS "recordTime",
         (SELECT coalesce(json_object_agg(i.instrument_id, h.total), '{}') FROM (
            SELECT instrument_id, sum(amount::numeric)::text AS total FROM holding WHERE archived_update_id IS NULL GROUP BY 1
          ) h JOIN instrument i ON i.id = h.instrument_id) AS held,
         (SELECT coalesce(json_object_agg(i.instrument_id, b.total), '{}') FROM (
            SELECT b.instrument_id, (-sum(b.balance))::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id
            WHERE a.kind = 'TREASURY' GROUP BY 1 HAVING sum(b.balance) <> 0
          ) b JOIN instrument i ON i.id = b.instrument_id) AS booked
  FROM ingestion_stream s CROSS JOIN event_log l`;

/** One statement: it is asked after every commit. */
const VIEW = `SELECT (SELECT row_to_json(s) FROM (${SNAPSHOT}) AS s) AS snapshot, ${PAYOUT_VIEW}`;

export function createReferee({
  observer,
  db,
  rebuildDb,
  truth,
  traffic,
  orders,
  payables,
  halts,
  marks,
  pools,
  policies,
  acceptances,
  screenings,
  isRestoreNoticed,
  received,
  isFollowing,
  hidden,
}: RefereeOptions): Referee {
  const payouts = createPayoutReferee({ observer, orders, payables, halts, marks, pools, policies, hidden });
  const isBlind = hidden !== 'NOTHING';
  /** As of the newest commit that changed anything. */
  let before: Snapshot | null = null;
  let stateBefore = '';

  const snapshot = async (): Promise<Snapshot | null> =>
    (await observer.query<Snapshot>({ name: 'snapshot', text: SNAPSHOT })).rows[0] ?? null;

  const hasAll = ({ events, logEpoch }: Snapshot): boolean =>
    isFollowing(logEpoch) && received().every((one) => BigInt(events) === BigInt(one.length));

  return {
    afterCommit: async () => {
      const { rows } = await observer.query<PayoutView & { readonly snapshot: Snapshot | null }>({
        name: 'view',
        text: VIEW,
      });
      const [view] = rows;
      const now = view?.snapshot ?? null;
      if (view === undefined || now === null) return false;
      payouts.afterCommit(view);
      await acceptances.afterCommit(observer);
      await screenings.afterCommit();
      const state = JSON.stringify([
        now.status,
        now.updates,
        now.events,
        now.outbox,
        now.headPosition,
        view.withdrawals,
        acceptances.describe(),
      ]);
      const isChanged = state !== stateBefore;
      stateBefore = state;
      if (isBlind) {
        before = now;
        return isChanged;
      }
      const offset = BigInt(now.offset);
      const isHalted = now.status === 'HALTED';
      // A worker that was killed again and again over one update is stopped until somebody looks.
      if (isHalted && now.statusReason?.startsWith(CRASH_LOOP)) marks.add('stream halted after a series of crashes');
      else must(!isHalted, 'a healthy participant halts nobody', { reason: now.statusReason });
      must(now.quarantined === '0', 'nothing is quarantined', {});
      if (before !== null) {
        must(BigInt(now.fencingToken) >= BigInt(before.fencingToken), 'the fencing token never goes back', {});
        must(BigInt(now.lastPosition) >= BigInt(before.lastPosition), 'the log never gets shorter', {});
        must(BigInt(now.recordTime ?? 0) >= BigInt(before.recordTime ?? 0), 'record time never goes back', {});
        const moved = before.offset !== now.offset || before.updates !== now.updates;
        must(!moved || before.fencingToken === now.fencingToken, 'a claim writes no effects', {});
      }
      // Where updates were renumbered, what is stored says how far it has come.
      const passed = truth.isRenumbered()
        ? truth.updates().slice(0, Number(now.updates))
        : truth.updates().filter((update) => update.offset <= offset);
      must(
        BigInt(now.updates) === BigInt(passed.length),
        'an update is stored if and only if the position has passed it',
        {
          offset,
          stored: now.updates,
          passed: passed.length,
        },
      );
      must(now.updatesCount === now.updates, 'updates are counted once', {
        counted: now.updatesCount,
        stored: now.updates,
      });
      const newest = passed.at(-1);
      // What a checkpoint promised beyond it is read again by whoever resumes.
      must(
        before === null || truth.isRenumbered() || offset >= BigInt(before.offset) || offset === (newest?.offset ?? 0n),
        'the position goes back to nothing but the newest update',
        { before: before?.offset, now: now.offset },
      );
      must(now.newestUpdateId === (newest?.updateId ?? null), 'the newest stored update is the newest passed', {});
      must(
        truth.isRenumbered() || now.verifiedUpdateId === now.newestUpdateId,
        'the stream resumes from the newest stored update',
        {},
      );
      const next = truth.updates()[passed.length];
      must(
        now.recordTime === null || next === undefined || next.recordTime >= BigInt(now.recordTime),
        'a record time that has passed is past',
        {
          recordTime: now.recordTime,
          next: next?.recordTime,
        },
      );
      const trueHeld = Object.fromEntries([...(newest?.held ?? [])].map(([id, units]) => [id, formatAmount(units)]));
      must(isEqual(canonical(now.held), trueHeld), 'holdings are those of the ledger at the position', {
        offset,
        held: now.held,
        trueHeld,
      });
      must(isEqual(canonical(now.booked), trueHeld), 'the books are those of the ledger at the position', {
        offset,
        booked: now.booked,
        trueHeld,
      });
      must(now.events === now.lastPosition && now.events === now.headPosition, 'positions are dense', {
        events: now.events,
        lastPosition: now.lastPosition,
        headPosition: now.headPosition,
      });
      before = now;
      return isChanged;
    },

    wentBack: () => {
      before = null;
      payouts.wentBack();
      acceptances.wentBack();
      screenings.wentBack();
    },

    areOrdersDone: payouts.isAtRest,

    isHalted: () => before?.status === 'HALTED',

    isReceived: () => before !== null && hasAll(before),

    isAtRest: () => {
      const now = before;
      if (now === null) return false;
      const end = truth.updates().at(-1);
      const isThere = isBlind || now.newestUpdateId === (end?.updateId ?? null);
      const isIngested =
        isThere &&
        (truth.isRenumbered() || isBlind || BigInt(now.offset) >= (end?.offset ?? 0n)) &&
        now.outbox === '0' &&
        hasAll(now);
      return (
        isIngested &&
        payouts.isAtRest() &&
        acceptances.isAtRest() &&
        screenings.isAtRest() &&
        isRestoreNoticed(now.logEpoch)
      );
    },

    describe: async () => ({
      ...(await snapshot()),
      end: truth.updates().at(-1)?.offset,
      received: received().map((one) => one.length),
      withdrawals: await payouts.describe(),
      offers: acceptances.describe(),
    }),

    atRest: async () => {
      if (isBlind) return 'blind';
      const treasury = await readTreasury(db);
      const faults = await checkBooks(db);
      must(faults.length === 0, 'the books are in order', { faults });
      const { differences } = await compareWithRebuild(rebuildDb, treasury);
      must(differences.length === 0, 'derived tables equal a rebuild', differences);
      await checkUpdates(observer, truth);
      await checkHoldings(observer, truth);
      await checkRanks(observer, treasury.party);
      if (screenings.hasDesk) await screenings.atRest();
      else {
        await checkDeposits(observer, traffic);
        await checkAnnouncements(observer);
      }
      await payouts.atRest();
      await acceptances.atRest(observer);
      for (const one of received()) await checkReceived(observer, one);
      return await checkEvents(observer);
    },
  };
}

async function readTreasury(db: Database): Promise<Treasury> {
  return await db
    .selectFrom('treasury_party')
    .innerJoin('network', 'network.id', 'treasury_party.network_id')
    .select([
      'treasury_party.id',
      'treasury_party.party',
      'treasury_party.name',
      'treasury_party.network_id as networkId',
      'network.name as network',
    ])
    .executeTakeFirstOrThrow();
}

function canonical(amounts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(amounts).map(([id, amount]) => [id, formatAmount(parseAmount(amount))]));
}
