/** Cases at the desk: deposits and offers that could be credited to nobody, or were denied, and what people decided about them. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { DeskCaseTable, DeskDecisionTable } from '../gen/db.ts';
import type { Account } from './accounts.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import type { TreasuryParty } from './treasury-parties.ts';

export type DeskCase = {
  readonly transferId: string;
  readonly state: DeskCaseTable['state'];
  readonly why: DeskCaseTable['why'];
  readonly treasury: TreasuryParty;
  readonly instrument: Instrument;
  /** Decimal text. */
  readonly amount: string;
  readonly memo: string | null;
  readonly sender: string | null;
  readonly updateId: string;
  readonly recordTime: Micros;
  /** Whose memo it was; null: nobody's that we know. */
  readonly namedAccount: Account | null;
  /** Whose it became; null: nobody's. */
  readonly account: Account | null;
  readonly decidedBy: string | null;
  readonly withdrawalId: string | null;
};

export type DeskCaseFilter = {
  /** Null: all. */
  readonly states: readonly DeskCase['state'][] | null;
  readonly treasury: { readonly network: string; readonly party: string } | null;
  /** A party id, whole. */
  readonly sender: string | null;
  /** How the memo begins, in any case, without blanks around it. At most 64 characters count. */
  readonly memoStart: string | null;
};

export const keyOfDeskCase = ({ recordTime, transferId }: DeskCase): PageKey => [recordTime, transferId];

/**
 * Newest first. Plans: of each state asked for its own page from the index (state, record_time, transfer_id), because one condition over several states leaves
 * the database to walk through all others; by sender or memo the index that begins with it; without any of them the one by time.
 */
export async function listDeskCases(db: Database, filter: DeskCaseFilter, page: PageRequest): Promise<Page<DeskCase>> {
  const keyset = keysetOf([sql`c.record_time`, sql`c.transfer_id`], 'descending', page);
  const wanted = sql`${keyset.where} AND ${conditionOf(filter)}`;
  const inStates =
    filter.states === null
      ? wanted
      : sql`c.transfer_id = ANY (ARRAY(
          SELECT picked.transfer_id FROM unnest(${[...filter.states]}::text[]) AS wanted (state) CROSS JOIN LATERAL (
            SELECT c.transfer_id FROM desk_case c WHERE c.state = wanted.state AND ${wanted}
            ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
          ) AS picked))`;
  const { rows } = await sql<Row>`
    ${SELECT} WHERE ${inStates} ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(rows.map(caseOf), page);
}

/** One result per id, in their order; null where there is none. */
export async function readDeskCases(db: Database, transferIds: readonly string[]): Promise<(DeskCase | null)[]> {
  const { rows } = await sql<Row>`${SELECT} WHERE c.transfer_id = ANY (${[...transferIds]}::text[])`.execute(db);
  const byId = new Map(rows.map((row) => [row.transferId, caseOf(row)]));
  return transferIds.map((id) => byId.get(id) ?? null);
}

export type DeskDecision = {
  readonly id: bigint;
  readonly transferId: string;
  readonly kind: DeskDecisionTable['kind'];
  readonly state: DeskDecisionTable['state'];
  readonly account: Account | null;
  readonly needsApproval: boolean;
  readonly reason: string;
  readonly requestedBy: string;
  readonly requestedAt: Micros;
  readonly decidedBy: string | null;
  readonly decidedAt: Micros | null;
  readonly decidedReason: string | null;
  readonly withdrawalId: string | null;
};

export const keyOfDeskDecision = ({ id }: DeskDecision): PageKey => [id];

/** Newest first. @param isAwaiting only those that wait for a second person. */
export async function listDeskDecisions(
  db: Database,
  { isAwaiting }: { readonly isAwaiting: boolean },
  page: PageRequest,
): Promise<Page<DeskDecision>> {
  const keyset = keysetOf([sql`d.id`], 'descending', page);
  const { rows } = await sql<DecisionRow>`
    ${SELECT_DECISIONS} WHERE ${keyset.where} AND (NOT ${isAwaiting} OR d.state = 'AWAITING_APPROVAL')
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(rows.map(decisionOf), page);
}

/** Of all given cases in one statement, oldest first. */
export async function readDeskDecisionsOf(db: Database, transferIds: readonly string[]): Promise<DeskDecision[]> {
  const { rows } = await sql<DecisionRow>`
    ${SELECT_DECISIONS} WHERE d.transfer_id = ANY (${[...transferIds]}::text[]) ORDER BY d.id`.execute(db);
  return rows.map(decisionOf);
}

/** One result per id, in their order; null where there is none. */
export async function readDeskDecisions(db: Database, ids: readonly bigint[]): Promise<(DeskDecision | null)[]> {
  const { rows } = await sql<DecisionRow>`
    ${SELECT_DECISIONS} WHERE d.id = ANY (${ids.map(String)}::bigint[])`.execute(db);
  const byId = new Map(rows.map((row) => [row.id, decisionOf(row)]));
  return ids.map((id) => byId.get(id) ?? null);
}

function conditionOf({ treasury, sender, memoStart }: DeskCaseFilter): RawBuilder<boolean> {
  const conditions = [sql<boolean>`true`];
  if (sender !== null) conditions.push(sql<boolean>`c.sender = ${sender}`);
  if (treasury !== null) {
    conditions.push(sql<boolean>`c.treasury_id = (
      SELECT wanted.id FROM treasury_party AS wanted JOIN network AS its ON its.id = wanted.network_id
      WHERE its.name = ${treasury.network} AND wanted.party = ${treasury.party})`);
  }
  if (memoStart !== null) {
    // As the index folds it; what LIKE would take for a pattern is taken as it is.
    conditions.push(sql<boolean>`left(lower(btrim(c.memo)), 64) LIKE
      replace(replace(replace(left(lower(btrim(${memoStart})), 64), '\\', '\\\\'), '%', '\\%'), '_', '\\_') || '%'`);
  }
  return sql<boolean>`(${sql.join(conditions, sql` AND `)})`;
}

const SELECT = sql`
  SELECT c.transfer_id AS "transferId", c.state, c.why, c.amount::text, c.memo, c.sender, c.update_id AS "updateId",
    c.record_time AS "recordTime", c.decided_by AS "decidedBy", c.withdrawal_id AS "withdrawalId",
    network.name AS network, treasury_party.party, treasury_party.name AS "treasuryName",
    instrument.admin, instrument.instrument_id AS "instrumentId", instrument.name AS "instrumentName",
    instrument.is_accepted AS "isAccepted", named.owner AS "namedOwner", account.owner AS "accountOwner"
  FROM desk_case c
  JOIN treasury_party ON treasury_party.id = c.treasury_id
  JOIN network ON network.id = treasury_party.network_id
  JOIN instrument ON instrument.id = c.instrument_id
  LEFT JOIN account named ON named.id = c.named_account_id
  LEFT JOIN account ON account.id = c.account_id`;

type Row = Omit<DeskCase, 'treasury' | 'instrument' | 'namedAccount' | 'account'> & {
  readonly network: string;
  readonly party: string;
  readonly treasuryName: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly instrumentName: string;
  readonly isAccepted: boolean;
  readonly namedOwner: string | null;
  readonly accountOwner: string | null;
};

function caseOf(row: Row): DeskCase {
  const { network, party, treasuryName, admin, instrumentId, instrumentName, isAccepted, ...others } = row;
  const { namedOwner, accountOwner, ...rest } = others;
  return {
    ...rest,
    treasury: { network, party, name: treasuryName },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    namedAccount: namedOwner === null ? null : { network, owner: namedOwner },
    account: accountOwner === null ? null : { network, owner: accountOwner },
  };
}

const SELECT_DECISIONS = sql`
  SELECT d.id, d.transfer_id AS "transferId", d.kind, d.state, d.needs_approval AS "needsApproval", d.reason,
    d.requested_by AS "requestedBy", d.requested_at AS "requestedAt", d.decided_by AS "decidedBy", d.decided_at AS "decidedAt",
    d.decided_reason AS "decidedReason", d.withdrawal_id AS "withdrawalId", network.name AS network, account.owner
  FROM desk_decision d LEFT JOIN account ON account.id = d.account_id LEFT JOIN network ON network.id = account.network_id`;

type DecisionRow = Omit<DeskDecision, 'account'> & { readonly network: string | null; readonly owner: string | null };

function decisionOf({ network, owner, ...row }: DecisionRow): DeskDecision {
  return { ...row, account: network === null || owner === null ? null : { network, owner } };
}
