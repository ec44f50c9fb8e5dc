/** A database with as many of everything as wanted, each with all that belongs to it: what lists are measured over. */
import { zstdCompressSync } from 'node:zlib';
import { sql } from 'kysely';
import { chainAuditEntries } from '../../src/db/audit-chain.ts';
import type { Database } from '../../src/db/connection.ts';
import { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { createRows, DAY, SYNCHRONIZER } from './rows.ts';

/** An empty transaction, as `ledger_update` keeps it. */
const AN_UPDATE = zstdCompressSync(
  GetUpdatesResponse.encode({
    update: { $case: 'transaction', value: Transaction.fromPartial({ recordTime: { seconds: 1n, nanos: 0 } }) },
  }).finish(),
);

/** @param count of each. Ids of ours end in their number, from 1. */
export async function fillWideScene(db: Database, count: number): Promise<void> {
  const rows = createRows(db);
  const network = await rows.networkId();
  for (let n = 1; n <= count; n++) {
    await rows.treasury(`treasury-${n}::1220bb`);
    await rows.instrument(`Token${n}`);
    await rows.depositAccount(`memo-${n}`, `customer-${n}`);
  }
  const each = sql`generate_series(1, ${count}::int) AS n
    JOIN treasury_party t ON t.network_id = ${network}::int AND t.party = 'treasury-' || n || '::1220bb'
    JOIN instrument i ON i.network_id = ${network}::int AND i.instrument_id = 'Token' || n
    JOIN account a ON a.network_id = ${network}::int AND a.kind = 'CUSTOMER' AND a.owner = 'customer-' || n`;
  const day = sql`${DAY}::bigint`;
  const statements = [
    sql`INSERT INTO account (network_id, kind, owner) SELECT ${network}::int, what, CASE what WHEN 'HELD' THEN a.owner ELSE '' END
      FROM ${each} CROSS JOIN unnest(ARRAY['HELD', 'UNATTRIBUTED', 'HOUSE']) AS what ON CONFLICT DO NOTHING`,
    sql`INSERT INTO ingestion_stream (treasury_id, status, observed_at, ledger_offset, updates_count, participant_id)
      SELECT t.id, 'RUNNING', ${day}, n, n, 'participant::1220dd' FROM ${each}`,
    sql`INSERT INTO synchronizer_time (treasury_id, synchronizer_id, record_time) SELECT t.id, ${SYNCHRONIZER}, ${day} + 1000 FROM ${each}`,
    sql`INSERT INTO stream_epoch (treasury_id, epoch, reason, participant_id, resumed_offset, detail, started_at)
      SELECT t.id, 1, 'BEGINNING', 'participant::1220dd', 0, 'first', ${day} FROM ${each}`,
    sql`INSERT INTO ledger_update (treasury_id, update_id, epoch, ledger_offset, record_time, synchronizer_id, kind, received)
      SELECT t.id, 'update-' || n, 1, n, ${day} + n, ${SYNCHRONIZER}, 'TRANSACTION', ${AN_UPDATE} FROM ${each}`,
    sql`UPDATE deposit_account SET metadata = '{"tier": "gold"}'`,
    sql`INSERT INTO quarantine (treasury_id, update_id, reason, detail, quarantined_at) SELECT t.id, 'update-' || n, 'X', 'x', ${day} FROM ${each}`,
    sql`INSERT INTO transfer (treasury_id, update_id, rank, id, kind, direction, status, instrument_id, amount, holdings_delta, counterparty, memo,
        transfer_object, record_time, concluded_update_id, concluded_record_time)
      SELECT t.id, 'update-' || n, 0, 'tr_' || n, 'OFFER', 'IN', 'COMPLETED', i.id, 1, 1, 'sender-' || n, 'memo-' || n, '{}', ${day} + n, 'update-' || n, ${day} + n
      FROM ${each}`,
    sql`INSERT INTO transfer_instruction (treasury_id, contract_id, original_contract_id, transfer_id, direction, status, instrument_id, amount,
        sender, receiver, memo, requested_at, execute_before, created_update_id, created_record_time)
      SELECT t.id, 'offer-' || n, 'offer-' || n, 'tr_' || n, 'IN', 'OPEN', i.id, 1, 'sender-' || n, t.party, 'memo-' || n, 1, ${day}, 'update-' || n, ${day} + n
      FROM ${each}`,
    sql`INSERT INTO offer_action (id, treasury_id, instrument_id, transfer_id, choice, sender, state, next_try_at, requested_by, created_at, changed_at)
      SELECT 'action-' || n, t.id, i.id, 'tr_' || n, 'ACCEPT', 'sender-' || n, 'QUEUED', 1, 'memo', 1, 1 FROM ${each}`,
    sql`INSERT INTO attribution (transfer_id, account_id, deposit_account_id, decided_by, record_time)
      SELECT 'tr_' || n, a.id, d.id, 'memo', ${day} + n FROM ${each} JOIN deposit_account d ON d.account_id = a.id`,
    sql`WITH entry AS (INSERT INTO journal_entry (cause, description, record_time) SELECT 'transfer:tr_' || n, 'deposit', ${day} + n FROM ${each} RETURNING id, cause)
      INSERT INTO posting (entry_id, line, debit_account_id, credit_account_id, instrument_id, amount)
      SELECT entry.id, line, house.id, CASE line WHEN 0 THEN a.id ELSE held.id END, i.id, 1 FROM ${each}
      CROSS JOIN generate_series(0, 1) AS line
      JOIN entry ON entry.cause = 'transfer:tr_' || n JOIN account house ON house.kind = 'UNATTRIBUTED' JOIN account held ON held.kind = 'HELD' AND held.owner = a.owner`,
    sql`INSERT INTO post_transfer (id, network_id, client, idempotency_key, request_hash, posted_at)
      SELECT 'pt_' || n, ${network}::int, 'client', 'key-' || n, '', n FROM ${each}`,
    sql`WITH entry AS (INSERT INTO journal_entry (cause, description, record_time) SELECT 'post:pt_' || n, 'trade', ${day} + n FROM ${each} RETURNING id, cause)
      INSERT INTO posting (entry_id, line, debit_account_id, credit_account_id, instrument_id, amount)
      SELECT entry.id, 0, house.id, one.id, i.id, 1 FROM ${each}
      JOIN entry ON entry.cause = 'post:pt_' || n JOIN account house ON house.kind = 'HOUSE'
      JOIN account one ON one.kind = 'CUSTOMER' AND one.owner = 'customer-1'`,
    sql`INSERT INTO holding (treasury_id, contract_id, instrument_id, amount, template, lock_holders, created_update_id, created_record_time)
      SELECT t.id, 'holding-' || n, i.id, 1, 'a:b:c', ARRAY['holder'], 'update-' || n, ${day} + n FROM ${each}`,
    sql`INSERT INTO withdrawal (id, network_id, client, idempotency_key, request_hash, account_id, treasury_id, instrument_id, receiver, amount,
        state, verdict, transfer_id, created_at, changed_at, doubt_code, doubt_detail)
      SELECT 'wd_' || n || what, ${network}::int, 'client', n || what, '', a.id, t.id, i.id, 'receiver', 1, what, 1,
        CASE what WHEN 'UNRESOLVED' THEN 'tr_' || n END, n, n, 'X', 'x'
      FROM ${each} CROSS JOIN unnest(ARRAY['UNRESOLVED', 'AWAITING_APPROVAL']) AS what`,
    sql`INSERT INTO policy_verdict (withdrawal_id, number, policy_version, kind, approvals_needed, needs_screening, approval_seconds, reasons,
        intent_hash, decided_at, expires_at)
      SELECT id, 1, 0, 'NEEDS', 1, false, 60, '[{"rule": "r", "text": "t"}]', withdrawal_intent_hash(id), ${day}, ${day} + 1000 FROM withdrawal`,
    sql`INSERT INTO withdrawal_approval (withdrawal_id, verdict, decision, intent_hash, decided_by, decided_at, expires_at, why)
      SELECT id, 1, 'APPROVE', withdrawal_intent_hash(id), 'alice', ${day}, ${day} + 1, 'fine' FROM withdrawal WHERE state = 'AWAITING_APPROVAL'`,
    sql`INSERT INTO withdrawal_stop (withdrawal_id, kind, why, set_at, set_by) SELECT id, 'HOLD', 'look', 1, 'olga' FROM withdrawal`,
    sql`INSERT INTO withdrawal_resolution (withdrawal_id, outcome, evidence, state, state_before, requested_by, requested_at)
      SELECT id, 'COMPLETED', 'seen', 'AWAITING_APPROVAL', state, 'olga', 1 FROM withdrawal`,
    sql`INSERT INTO submission (id, treasury_id, instrument_id, purpose, withdrawal_id, created_at)
      SELECT 'sub-' || id, treasury_id, instrument_id, 'WITHDRAWAL', id, 1 FROM withdrawal WHERE state = 'UNRESOLVED'`,
    sql`INSERT INTO attempt (submission_id, number, state, synchronizer_id, target_record_time, transfer_object, next_try_at, opened_at)
      SELECT id, 1, 'OPEN', ${SYNCHRONIZER}, ${day}, '{}', 1, 1 FROM submission`,
    sql`INSERT INTO reservation (submission_id, number, treasury_id, contract_id, is_open)
      SELECT 'sub-wd_' || n || 'UNRESOLVED', 1, t.id, 'holding-' || n, true FROM ${each}`,
    sql`INSERT INTO desk_case (transfer_id, treasury_id, instrument_id, state, why, amount, memo, sender, update_id, record_time, named_account_id, funds_account_id)
      SELECT 'tr_' || n, t.id, i.id, 'OPEN', 'UNKNOWN_MEMO', 1, 'memo-' || n, 'sender-' || n, 'update-' || n, ${day} + n, a.id, a.id FROM ${each}`,
    sql`INSERT INTO desk_decision (transfer_id, kind, state, account_id, needs_approval, reason, requested_by, requested_at)
      SELECT 'tr_' || n, 'ASSIGN', 'AWAITING_APPROVAL', a.id, true, 'his', 'olga', 1 FROM ${each}`,
    sql`INSERT INTO screening (transfer_id, treasury_id, instrument_id, is_offer, state, account_id, owner_decided_by, amount, update_id, record_time, held,
        next_try_at, opened_at)
      SELECT 'tr_' || n, t.id, i.id, false, 'WAITING', a.id, 'memo', 1, 'update-' || n, ${day}, 1, 1, n FROM ${each}`,
    sql`INSERT INTO money_freeze (treasury_id, instrument_id, reason, detail, cause, opened_at, opened_by) SELECT t.id, i.id, 'OPERATOR', 'd', 'c', n, 'olga' FROM ${each}`,
    sql`INSERT INTO halt (id, treasury_id, instrument_id, why, halted_at, halted_by) SELECT 'halt-' || n, t.id, i.id, 'w', n, 'olga' FROM ${each}`,
    sql`INSERT INTO registry_instance (process, url, state, asked, answered, failed, spared, dissented, reported_at)
      SELECT 'p', 'https://registry-' || n, 'WELL', 1, 1, 0, 0, 0, (extract(epoch FROM now()) * 1000000)::bigint FROM ${each}`,
    sql`INSERT INTO token (instrument_id, implementation, packages, credits_deposits, accepts_offers, deposit_min, pays_direct, pays_offers,
        offer_validity_seconds, onboarded_at, onboarded_by, packages_missing, registry_differs)
      SELECT i.id, 'OTHER', ARRAY['package'], true, true, 0, true, true, 60, 1, 'olga', '[{"package": "p", "treasury": "t", "why": "w"}]',
        '[{"field": "f", "pinned": "p", "found": "x"}]' FROM ${each}`,
    sql`INSERT INTO token_change (instrument_id, action, changed_at, changed_by, why, after) SELECT i.id, 'ADDED', 1, 'olga', 'w', '{}' FROM ${each}`,
    sql`INSERT INTO registry (network_id, admin, instrument_id, strategy, urls) SELECT ${network}::int, i.admin, i.instrument_id, 'ROTATE', ARRAY['https://x'] FROM ${each}`,
    sql`INSERT INTO preapproval (treasury_id, instrument_id, tried_at) SELECT t.id, i.id, 1 FROM ${each}`,
    sql`INSERT INTO traffic_reading (network_id, participant, read_at, total_consumed, total_limit) SELECT ${network}::int, 'p-' || n, 1, 1, 2 FROM ${each}`,
    sql`INSERT INTO verification (treasury_id, tried_at, checked_at, epoch, ledger_offset, duration_ms, is_equal, is_in_doubt, holdings_count, offers_count, others, others_count)
      SELECT t.id, 1, 1, 1, 1, 1, false, true, 1, 1, '[{"kind": "MISSING", "contractId": "c"}]', 1 FROM ${each}`,
    sql`INSERT INTO verification_instrument (treasury_id, instrument_id, on_ledger, in_holdings, in_books, contracts_count, differences, differing_count)
      SELECT t.id, i.id, 1, 1, 1, 1, '[{"kind": "MISSING", "contractId": "c"}]', 1 FROM ${each}`,
    sql`INSERT INTO policy_proposal (network_id, based_on, document, document_hash, why, proposed_by, proposed_at, expires_at)
      SELECT ${network}::int, 0, '{}', sha256('{}'), 'w', 'olga', n, ${day} FROM ${each}`,
    sql`INSERT INTO policy_judgement (proposal_id, decision, document_hash, judged_by, judged_at, why) SELECT id, 'APPROVE', document_hash, 'alice', 1, 'w' FROM policy_proposal`,
  ];
  for (const statement of statements) await statement.execute(db);
  while ((await chainAuditEntries(db)) > 0);
  await sql`ANALYZE`.execute(db);
}
