/**
 * What must hold in a running system, asked of its own tables: the invariants of docs/reliability.md that can be told without the ledger's own truth. The comparison with the ledger is a round of its own
 * (books/verification.ts), whose result is one of them.
 */
import { type RawBuilder, sql } from 'kysely';
import { faultsOf, type MoreFaults } from '../books/bounded-faults.ts';
import { type BooksFault, checkBooks } from '../books/check-books.ts';
import type { Database } from '../db/connection.ts';
import { verifyAuditChain } from '../read/audit-entries.ts';
import { describeBooksFault } from './books-fault-text.ts';
import { identityOf } from './fault-identity.ts';

/** Ids as in docs/reliability.md; those that are not here are held by tests alone. */
export const LIVE_INVARIANTS = {
  I1: 'books balance, and say what holdings, transfers and withdrawals say',
  I2: 'nobody has less than nothing',
  I3: 'no withdrawal is paid twice, no payment counts for two',
  I4: 'nothing that was paid counts as failed',
  I5: 'nothing counts as paid that was not',
  I6: 'what is final stays final: an attempt is open only while its withdrawal is in flight, or nobody can read what became of it',
  I7: 'no deposit is credited twice, or to anybody else',
  I8: 'a holding is reserved for one open attempt',
  I9: 'holdings and offers are the ledger’s active contracts',
  I12: 'record time does not go back from one offset to the next',
  I15: 'the event log has no gap',
  I19: 'no signature was asked for before that was written down',
  I21: 'nothing is in flight without the approvals it needs',
  I26: 'the audit chain is whole',
} as const;
export type InvariantId = keyof typeof LIVE_INVARIANTS;

export type InvariantFault = {
  readonly id: InvariantId;
  /** For people. */
  readonly what: string;
  /** By what it is known again at the next look, whatever else moves. */
  readonly identity: string;
  /** How many it stands for. */
  readonly count: number;
  /** `admin/id`, where it touches that instrument alone; null: anybody's money. */
  readonly instrument: string | null;
};

const ROWS_LOOKED_AT = 10_000; // Newest updates per treasury, and newest events: what is older was looked at when it was new.

/** @returns the faults found, of each check a hundred and one that stands for the others; empty: they hold. Reads whole tables, as {@link checkBooks} and {@link verifyAuditChain} do. */
export async function checkInvariants(db: Database): Promise<readonly InvariantFault[]> {
  const ofBooks = (await checkBooks(db)).map(
    (fault): InvariantFault => ({
      id: invariantOf(fault),
      what: describeBooksFault(fault),
      identity: identityOf(fault),
      count: fault.kind === 'MORE_FAULTS' ? fault.count : 1,
      instrument: 'instrument' in fault ? fault.instrument : null,
    }),
  );
  const others: InvariantFault[] = [];
  for (const [id, statement] of STATEMENTS) {
    for (const fault of await faultsOf(db, statement, (row) => row)) others.push(ofStatement(id, fault));
  }
  const { brokenAt } = await verifyAuditChain(db);
  if (brokenAt !== null) others.push({ ...ofAudit(brokenAt), id: 'I26', count: 1, instrument: null });
  return [...ofBooks, ...others];
}

type Row = { readonly identity: string; readonly what: string };

function ofStatement(id: InvariantId, fault: Row | MoreFaults<Row>): InvariantFault {
  if (!('kind' in fault)) return { id, count: 1, instrument: null, ...fault };
  const { like, count, digest } = fault;
  const what = `${count} more like the last one: ${like.what}`;
  return { id, what, identity: `${count} more, ${digest}`, count, instrument: null };
}

function ofAudit(brokenAt: bigint): Row {
  return { identity: String(brokenAt), what: `entry ${brokenAt} of the audit is not what was chained` };
}

function invariantOf(fault: BooksFault): InvariantId {
  switch (fault.kind) {
    case 'MORE_FAULTS':
      return invariantOf(fault.like);
    case 'CUSTOMER_NEGATIVE':
      return 'I2';
    case 'CREDIT_OFF':
      return 'I7';
    case 'RESERVATION_OFF':
      return 'I8';
    case 'PAYMENT_OFF':
      if (fault.why.startsWith('its transfer is also')) return 'I3';
      return fault.why.startsWith('it ended unpaid') ? 'I4' : 'I5';
    default:
      return 'I1';
  }
}

const STATEMENTS: readonly (readonly [InvariantId, RawBuilder<Row>])[] = [
  [
    // One that people have to decide keeps its attempt, and what that reserved, until they have (withdrawals/unreadable-attempts.ts).
    'I6',
    sql<Row>`SELECT w.id || ' ' || a.number AS identity, 'withdrawal ' || w.id || ' is ' || w.state || ', and attempt ' || a.number || ' of it is open' AS what
      FROM attempt a JOIN submission s ON s.id = a.submission_id AND s.purpose = 'WITHDRAWAL' JOIN withdrawal w ON w.id = s.withdrawal_id
      WHERE a.state = 'OPEN' AND w.state NOT IN ('IN_FLIGHT', 'UNRESOLVED')`,
  ],
  [
    'I9',
    sql<Row>`SELECT t.name AS identity, 'books, holdings and ledger of ' || t.name || ' differ at offset ' || v.ledger_offset AS what
      FROM verification v JOIN treasury_party t ON t.id = v.treasury_id WHERE v.is_in_doubt`,
  ],
  [
    // Contracts that were imported say a time before all others.
    'I12',
    sql<Row>`SELECT update_id AS identity, 'update ' || update_id || ' at offset ' || ledger_offset || ' has record time ' || record_time || ', the one before it ' || before AS what
      FROM treasury_party t CROSS JOIN LATERAL (
        SELECT u.*, lag(record_time) OVER (PARTITION BY epoch, synchronizer_id ORDER BY ledger_offset) AS before
        FROM (SELECT * FROM ledger_update WHERE treasury_id = t.id AND record_time > 0 ORDER BY epoch DESC, ledger_offset DESC LIMIT ${ROWS_LOOKED_AT}::int) AS u
      ) AS looked WHERE record_time < before`,
  ],
  [
    'I15',
    sql<Row>`SELECT (expected - there) || ' ' || (last_position - coalesce(newest, 0)) AS identity, 'the log ends at ' || last_position || ', its newest event is ' || coalesce(newest, 0) || ', and of the last ' || expected || ' there are ' || there AS what
      FROM (
        SELECT last_position, (SELECT max(position) FROM event) AS newest, least(last_position, ${ROWS_LOOKED_AT}::bigint) AS expected,
          (SELECT count(*) FROM event WHERE position > last_position - ${ROWS_LOOKED_AT}::bigint) AS there FROM event_log
      ) AS looked WHERE there <> expected OR coalesce(newest, 0) <> last_position`,
  ],
  [
    'I19',
    sql<Row>`SELECT a.submission_id || ' ' || a.number AS identity, 'attempt ' || a.number || ' of ' || a.submission_id || ' has a signature that nobody wrote down to be asked for' AS what
      FROM signed_hash h JOIN attempt a ON a.submission_id = h.submission_id AND a.number = h.number WHERE a.sign_requested_at IS NULL`,
  ],
  [
    'I21',
    sql<Row>`SELECT w.id || ' ' || policy_leave(w.id, w.verdict, w.network_id, NULL) AS identity, 'withdrawal ' || w.id || ' is in flight: ' || policy_leave(w.id, w.verdict, w.network_id, NULL) AS what
      FROM withdrawal w WHERE w.state = 'IN_FLIGHT' AND policy_leave(w.id, w.verdict, w.network_id, NULL) IN ('DENIED', 'APPROVALS')`,
  ],
];
