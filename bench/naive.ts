/**
 * How one would write it first: one update after the other, a transaction each, and in it a prepared statement per row, awaited. The same messages, the same reading of
 * them, the same rows in the same tables; only the writing differs.
 */
import type pg from 'pg';
import type { AccountRef } from '../src/books/journal.ts';
import { houseAccount } from '../src/books/journal.ts';
import { bookTransfer } from '../src/books/transfer-booking.ts';
import { isDeposit } from '../src/books/treasury-sink.ts';
import type { TransferChange, Treasury } from '../src/ingestion/effect-sink.ts';
import type { ReceivedUpdate } from '../src/ingestion/received-update.ts';
import { formatAmount, parseAmount, ZERO } from '../src/tokens/amount.ts';
import { eventId } from '../src/tokens/ids.ts';
import { META_REASON } from '../src/tokens/standard.ts';
import type { Instrument } from '../src/tokens/transfer-record.ts';
import { transferToJson } from '../src/tokens/transfer-record.ts';
import { effectsOf, type KnownInstruction, type UpdateEffects } from '../src/tokens/update-effects.ts';
import { referencedContracts } from '../src/tokens/views.ts';

export type NaiveWriter = { write(update: ReceivedUpdate): Promise<void> };

type Row = Readonly<Record<string, string>>;

export async function createNaiveWriter(client: pg.Client, treasury: Treasury): Promise<NaiveWriter> {
  /** Each text is parsed and planned once by the server, under a name. */
  const names = new Map<string, string>();
  const run = async (text: string, values: readonly unknown[]): Promise<Row[]> => {
    const name = names.get(text) ?? `naive_${names.size}`;
    names.set(text, name);
    return (await client.query<Row>({ name, text, values: [...values] })).rows;
  };

  const instrumentKeys = new Map<string, number>();
  for (const row of await run('SELECT id, admin, instrument_id FROM instrument WHERE network_id = $1', [
    treasury.networkId,
  ])) {
    instrumentKeys.set(`${row['admin']}/${row['instrument_id']}`, Number(row['id']));
  }
  const keyOf = ({ admin, id }: Instrument): number => {
    const key = instrumentKeys.get(`${admin}/${id}`);
    if (key === undefined) throw new Error(`An instrument of which the benchmark was not told: ${admin}/${id}`);
    return key;
  };

  const accountIds = new Map<string, string>();
  const accountOf = async ({ kind, owner }: AccountRef): Promise<string> => {
    const known = accountIds.get(`${kind}/${owner}`);
    if (known !== undefined) return known;
    const key = [treasury.networkId, kind, owner];
    await run('INSERT INTO account (network_id, kind, owner) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', key);
    const [row] = await run('SELECT id FROM account WHERE network_id = $1 AND kind = $2 AND owner = $3', key);
    const id = row?.['id'] ?? '';
    accountIds.set(`${kind}/${owner}`, id);
    return id;
  };

  async function effects({ transaction }: ReceivedUpdate): Promise<UpdateEffects | null> {
    if (transaction === null) return null;
    const holdings = new Map<string, { instrument: Instrument; amount: ReturnType<typeof parseAmount> }>();
    const instructions = new Map<string, KnownInstruction>();
    for (const contractId of referencedContracts(transaction.events)) {
      const [holding] = await run(
        'SELECT i.admin, i.instrument_id, h.amount FROM holding h JOIN instrument i ON i.id = h.instrument_id WHERE h.treasury_id = $1 AND h.contract_id = $2',
        [treasury.id, contractId],
      );
      if (holding !== undefined) {
        const instrument = { admin: holding['admin'] ?? '', id: holding['instrument_id'] ?? '' };
        holdings.set(contractId, { instrument, amount: parseAmount(holding['amount'] ?? '') });
      }
      const [offer] = await run(
        'SELECT i.admin, i.instrument_id, t.transfer_id FROM transfer_instruction t JOIN instrument i ON i.id = t.instrument_id WHERE t.treasury_id = $1 AND t.contract_id = $2',
        [treasury.id, contractId],
      );
      if (offer !== undefined) {
        const instrument = { admin: offer['admin'] ?? '', id: offer['instrument_id'] ?? '' };
        instructions.set(contractId, { transferId: offer['transfer_id'] ?? '', instrument });
      }
    }
    return effectsOf(transaction, treasury.party, {
      holding: (contractId) => holdings.get(contractId),
      instruction: (contractId) => instructions.get(contractId),
    });
  }

  async function writeDerived(update: ReceivedUpdate, read: UpdateEffects): Promise<TransferChange[]> {
    const { updateId, recordTime } = update;
    for (const { contractId, instrument, amount, template, lock } of read.holdingsCreated) {
      await run(
        'INSERT INTO holding (treasury_id, contract_id, instrument_id, amount, template, lock_holders, lock_expires_at, lock_expires_after, lock_context, created_update_id, created_record_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)',
        [
          treasury.id,
          contractId,
          keyOf(instrument),
          formatAmount(amount),
          template,
          lock?.holders ?? null,
          lock?.expiresAt ?? null,
          lock?.expiresAfter ?? null,
          lock?.context ?? null,
          updateId,
          recordTime,
        ],
      );
    }
    for (const contractId of read.holdingsArchived) {
      await run(
        'UPDATE holding SET archived_update_id = $3, archived_record_time = $4 WHERE treasury_id = $1 AND contract_id = $2',
        [treasury.id, contractId, updateId, recordTime],
      );
    }
    const at = { updateId, recordTime, signedHash: null, inputs: read.holdingsArchived };
    const known = (instrument: Instrument) => ({ ...instrument, key: keyOf(instrument), isAccepted: true });
    const changes: TransferChange[] = [];
    for (const { id, rank, transfer, ...movement } of read.movements) {
      const isOpen = movement.status === 'PENDING';
      await run(
        'INSERT INTO transfer (treasury_id, update_id, rank, id, kind, direction, status, instrument_id, amount, holdings_delta, counterparty, memo, transfer_object, record_time, concluded_update_id, concluded_record_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)',
        [
          treasury.id,
          updateId,
          rank,
          id,
          movement.kind,
          movement.direction,
          movement.status,
          keyOf(movement.instrument),
          formatAmount(movement.amount),
          formatAmount(movement.holdingsDelta),
          movement.counterparty,
          movement.memo,
          transfer && JSON.stringify(transferToJson(transfer)),
          recordTime,
          isOpen ? null : updateId,
          isOpen ? null : recordTime,
        ],
      );
      changes.push({
        ...movement,
        ...at,
        transferId: id,
        instrument: known(movement.instrument),
        isNew: true,
        earlierHoldingsDelta: ZERO,
      });
    }
    for (const { transferId, status, holdingsDelta } of read.progress) {
      const [row] = await run(
        'SELECT t.kind, t.direction, t.amount, t.holdings_delta, t.counterparty, t.memo, i.admin, i.instrument_id FROM transfer t JOIN instrument i ON i.id = t.instrument_id WHERE t.id = $1',
        [transferId],
      );
      if (row === undefined) throw new Error('An offer without its transfer.');
      const before = parseAmount(row['holdings_delta'] ?? '');
      const isOpen = status === 'PENDING';
      await run(
        'UPDATE transfer SET status = $2, holdings_delta = $3, concluded_update_id = $4, concluded_record_time = $5 WHERE id = $1',
        [
          transferId,
          status,
          formatAmount(before + holdingsDelta),
          isOpen ? null : updateId,
          isOpen ? null : recordTime,
        ],
      );
      changes.push({
        ...at,
        transferId,
        kind: 'OFFER',
        direction: row['direction'] === 'IN' ? 'IN' : 'OUT',
        instrument: known({ admin: row['admin'] ?? '', id: row['instrument_id'] ?? '' }),
        amount: parseAmount(row['amount'] ?? ''),
        counterparty: row['counterparty'] ?? null,
        memo: row['memo'] ?? null,
        isNew: false,
        status,
        holdingsDelta,
        earlierHoldingsDelta: before,
      });
    }
    for (const { contractId, originalContractId, transferId, direction, transfer } of read.instructionsOpened) {
      await run(
        "INSERT INTO transfer_instruction (treasury_id, contract_id, original_contract_id, transfer_id, direction, status, instrument_id, amount, sender, receiver, memo, requested_at, execute_before, created_update_id, created_record_time) VALUES ($1, $2, $3, $4, $5, 'OPEN', $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        [
          treasury.id,
          contractId,
          originalContractId,
          transferId,
          direction,
          keyOf(transfer.instrument),
          formatAmount(transfer.amount),
          transfer.sender,
          transfer.receiver,
          transfer.meta.get(META_REASON) ?? null,
          transfer.requestedAt,
          transfer.executeBefore,
          updateId,
          recordTime,
        ],
      );
    }
    for (const { contractId, status } of read.instructionsEnded) {
      await run(
        'UPDATE transfer_instruction SET status = $3, ended_update_id = $4, ended_record_time = $5 WHERE treasury_id = $1 AND contract_id = $2',
        [treasury.id, contractId, status, updateId, recordTime],
      );
    }
    return changes;
  }

  async function book(change: TransferChange): Promise<void> {
    const total = change.earlierHoldingsDelta + change.holdingsDelta;
    const isCredit = isDeposit(change) && change.status === 'COMPLETED' && total > 0n;
    let counter = houseAccount(change.kind === 'MERGE' ? 'FEES' : 'UNEXPLAINED');
    let type = change.status === 'PENDING' ? 'offer.received' : 'offer.ended';
    if (isCredit) {
      const [account] = await run(
        'SELECT d.id, d.account_id, a.owner FROM deposit_account d JOIN account a ON a.id = d.account_id WHERE d.network_id = $1 AND d.memo = $2',
        [treasury.networkId, change.memo],
      );
      counter =
        account === undefined ? houseAccount('UNATTRIBUTED') : { kind: 'CUSTOMER', owner: account['owner'] ?? '' };
      type = account === undefined ? 'deposit.unattributed' : 'deposit.credited';
      if (account !== undefined) {
        await run(
          "INSERT INTO attribution (transfer_id, account_id, deposit_account_id, decided_by, record_time) VALUES ($1, $2, $3, 'memo', $4)",
          [change.transferId, account['account_id'], account['id'], change.recordTime],
        );
      }
    }
    const { cause, description, recordTime, lines } = bookTransfer(change, treasury.party, { counter });
    if (lines.length > 0) {
      const [entry] = await run(
        'INSERT INTO journal_entry (cause, description, record_time) VALUES ($1, $2, $3) RETURNING id',
        [cause, description, recordTime],
      );
      for (const [line, { debit, credit, instrumentKey, amount }] of lines.entries()) {
        await run(
          'INSERT INTO posting (entry_id, line, debit_account_id, credit_account_id, instrument_id, amount) VALUES ($1, $2, $3, $4, $5, $6)',
          [entry?.['id'], line, await accountOf(debit), await accountOf(credit), instrumentKey, formatAmount(amount)],
        );
      }
    }
    if (!isDeposit(change) || (change.status === 'PENDING' && !change.isNew)) return;
    const payload = {
      transferId: change.transferId,
      treasuryParty: treasury.party,
      instrument: { admin: change.instrument.admin, id: change.instrument.id },
      amount: formatAmount(change.amount),
      memo: change.memo,
      sender: change.counterparty,
      updateId: change.updateId,
      recordTime: change.recordTime.toString(),
      status: change.status,
    };
    await run('INSERT INTO event_outbox (event_id, type, subject, payload, recorded_at) VALUES ($1, $2, $3, $4, $5)', [
      eventId(type, change.transferId, change.updateId),
      type,
      change.transferId,
      JSON.stringify(payload),
      BigInt(Date.now()) * 1_000n,
    ]);
  }

  return {
    write: async (update) => {
      await run('BEGIN', []);
      await run(
        'INSERT INTO ledger_update (treasury_id, update_id, epoch, ledger_offset, record_time, synchronizer_id, effective_at, kind, trace_parent, received) VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9)',
        [
          treasury.id,
          update.updateId,
          update.offset,
          update.recordTime,
          update.synchronizerId,
          update.effectiveAt,
          update.kind,
          update.traceParent,
          update.compressed,
        ],
      );
      const read = await effects(update);
      if (read !== null) for (const change of await writeDerived(update, read)) await book(change);
      await run(
        'INSERT INTO synchronizer_time (treasury_id, synchronizer_id, record_time) VALUES ($1, $2, $3) ON CONFLICT (treasury_id, synchronizer_id) DO UPDATE SET record_time = excluded.record_time',
        [treasury.id, update.synchronizerId, update.recordTime],
      );
      await run(
        'UPDATE ingestion_stream SET ledger_offset = $2, verified_update_id = $3, verified_offset = $2, updates_count = updates_count + 1 WHERE treasury_id = $1',
        [treasury.id, update.offset, update.updateId],
      );
      await run('COMMIT', []);
    },
  };
}
