/** What the updates that still wait in quarantine did to contracts: nothing of it is in the tables. Reads only. */
import type { Database, Transaction } from '../db/connection.ts';
import type { Treasury } from './effect-sink.ts';
import { contractsOf, type Touched, touchedBy } from './quarantine.ts';
import { type ReceivedUpdate, restoreUpdate } from './received-update.ts';

/** Contract ids, of whatever template: whoever asks knows which of them are holdings. */
export type QuarantinedContracts = {
  readonly created: ReadonlySet<string>;
  readonly consumed: ReadonlySet<string>;
};

const PAGE_UPDATES = 50; // An update may have megabytes.

export async function contractsInQuarantine(db: Database, treasury: Treasury): Promise<QuarantinedContracts> {
  const created = new Set<string>();
  const consumed = new Set<string>();
  for await (const update of updatesInQuarantine(db, treasury)) {
    const contracts = contractsOf(update);
    for (const { contractId } of contracts.created) created.add(contractId);
    for (const contractId of contracts.consumed) consumed.add(contractId);
  }
  return { created, consumed };
}

/** Which holdings are still in doubt. What touches none, as strangers can bring it about at any time, may wait for ever. */
export async function touchedInQuarantine(tx: Transaction, treasury: Treasury): Promise<Touched> {
  const keys = new Set<number>();
  for await (const update of updatesInQuarantine(tx, treasury)) {
    const touched = await touchedBy(tx, treasury, update);
    if (touched.kind === 'UNKNOWN') return touched;
    for (const key of touched.keys) keys.add(key);
  }
  return { kind: 'INSTRUMENTS', keys: [...keys] };
}

async function* updatesInQuarantine(
  db: Database | Transaction,
  treasury: Treasury,
): AsyncGenerator<ReceivedUpdate, void, undefined> {
  let after = '';
  for (;;) {
    const rows = await db
      .selectFrom('quarantine')
      .innerJoin('ledger_update', (join) =>
        join
          .onRef('ledger_update.treasury_id', '=', 'quarantine.treasury_id')
          .onRef('ledger_update.update_id', '=', 'quarantine.update_id'),
      )
      .select(['quarantine.update_id as updateId', 'ledger_update.received'])
      .where('quarantine.treasury_id', '=', treasury.id)
      .where('quarantine.closed_at', 'is', null)
      .where('quarantine.update_id', '>', after)
      .orderBy('quarantine.update_id')
      .limit(PAGE_UPDATES)
      .execute();
    for (const { received } of rows) yield restoreUpdate(received);
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.updateId;
  }
}
