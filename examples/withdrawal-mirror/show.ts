/** Prints the table that mirror.ts keeps. */
import { DatabaseSync } from 'node:sqlite';

const { MIRROR_FILE = 'withdrawal-mirror.sqlite' } = process.env;
const database = new DatabaseSync(MIRROR_FILE, { readOnly: true });
const rows = database
  .prepare(
    'SELECT withdrawal_id, state, customer, amount, instrument_id, changed_at, is_doubtful FROM outcome ORDER BY rowid',
  )
  .all();
for (const row of rows) {
  const { withdrawal_id, state, customer, amount, instrument_id, changed_at, is_doubtful } = row;
  console.log(
    [changed_at, withdrawal_id, customer, amount, instrument_id, state, is_doubtful === 1 ? 'doubtful' : ''].join('  '),
  );
}
console.log(`${rows.length} outcomes`);
database.close();
