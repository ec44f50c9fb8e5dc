/**
 * Whether deposits of a network wait for the verdict of a screening service. The row in the database decides, not the configuration of a process: who credits reads it in the transaction that credits, so that a switch
 * (screening-switch.ts) holds at once and everywhere. He holds it still until he commits, by a shared advisory lock; a switch holds the lock alone. A lock of rows would need a right to change them, and one of the table would wait for every
 * backup. The configuration says what its operator believes, and a process that could credit and was told otherwise does not start.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { knowNetwork } from '../db/known-network.ts';
import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';

export type DepositScreening = {
  readonly isOn: boolean;
  /** Null: nobody has decided, and they wait where any were ever screened. */
  readonly decided: { readonly at: Micros; readonly by: string; readonly why: string } | null;
};

/** Who decided, where a process did at its start. */
const BY_START = 'sluice:start';

/**
 * Whether deposits wait, as an expression of the statement that looks. Who credits by it holds it first ({@link holdScreening}).
 * @param networkId an expression of the statement.
 * @param screenedSince when that was decided by which this process started; null: it does not know of any. A row that is older was put back with the database, and takes nothing back.
 */
export function depositsWait(networkId: RawBuilder<unknown>, screenedSince: Micros | null): RawBuilder<boolean> {
  return sql<boolean>`coalesce(
    (SELECT mode.is_on OR coalesce(mode.decided_at < ${screenedSince}::bigint, false) FROM deposit_screening AS mode WHERE mode.network_id = ${networkId}),
    ${screenedSince}::bigint IS NOT NULL OR EXISTS (
      SELECT FROM screening AS asked JOIN treasury_party AS asked_of ON asked_of.id = asked.treasury_id WHERE asked_of.network_id = ${networkId}
    )
  )`;
}

/** Of the advisory lock. */
export function screeningLock(networkId: number): RawBuilder<bigint> {
  return sql<bigint>`hashtextextended(${`sluice deposit screening ${networkId}`}, 0)`;
}

/**
 * Nobody changes the decision from here to the end of the transaction. An expression of a statement before the one that looks, of a transaction that is READ COMMITTED: the snapshot of the same statement may be older than the lock.
 */
export function holdScreening(networkId: number): RawBuilder<unknown> {
  return sql`pg_advisory_xact_lock_shared(${screeningLock(networkId)})`;
}

/** {@link depositsWait} for a transaction that credits, held. */
export async function readWhetherDepositsWait(
  tx: Transaction,
  networkId: number,
  screenedSince: Micros | null,
): Promise<boolean> {
  await sql`SELECT ${holdScreening(networkId)}`.execute(tx);
  const { rows } = await sql<{
    waits: boolean;
  }>`SELECT ${depositsWait(sql`${networkId}::smallint`, screenedSince)} AS waits`.execute(tx);
  return rows[0]?.waits ?? true;
}

/** @returns off and undecided where the network is not known yet. */
export async function readDepositScreening(db: Database | Transaction, network: string): Promise<DepositScreening> {
  const { rows } = await sql<{ isOn: boolean; at: Micros | null; by: string | null; why: string | null }>`
    SELECT ${depositsWait(sql`n.id`, null)} AS "isOn", d.decided_at AS at, d.decided_by AS by, d.why
    FROM network n LEFT JOIN deposit_screening d ON d.network_id = n.id WHERE n.name = ${network}`.execute(db);
  const [row] = rows;
  if (row === undefined) return { isOn: false, decided: null };
  const { isOn, at, by, why } = row;
  return { isOn, decided: at === null || by === null || why === null ? null : { at, by, why } };
}

/**
 * At the start of a process that credits: the first one decides for the network, every other one has to agree. Where deposits were screened before anybody decided, they still are.
 * @param wanted.isWanted as the process is configured.
 * @throws PermanentError DEPOSIT_SCREENING_DIFFERS.
 */
export async function agreeOnScreening(
  db: Database,
  wanted: { readonly network: string; readonly isWanted: boolean; readonly nowMicros: Micros },
): Promise<DepositScreening> {
  const { network, isWanted } = wanted;
  let screening = await readDepositScreening(db, network);
  if (screening.decided === null) {
    await decide(db, wanted);
    // By now it is decided, whoever was faster.
    screening = await readDepositScreening(db, network);
  }
  if (screening.isOn !== isWanted) {
    throw new PermanentError('DEPOSIT_SCREENING_DIFFERS', differs(network, screening.isOn), {
      network,
      configured: isWanted,
      decided: screening.isOn,
    });
  }
  return screening;
}

/** What is to be done about it, for the operator. */
function differs(network: string, isOn: boolean): string {
  return isOn
    ? `Deposits of ${network} are screened before they are credited, and this process is configured without. Set SLUICE_SCREENING_URL and SLUICE_SCREENING_SECRET as the other workers have them, or, where nobody screens deposits any more, \`sluice screening switch off\` (docs/guides/deposits.md).`
    : `This process is configured to have deposits screened, and those of ${network} are credited without. Have them screened with \`sluice screening switch on\`, or, where the service is for other questions only, set SLUICE_DEPOSIT_SCREENING=off (docs/guides/deposits.md).`;
}

async function decide(
  db: Database,
  {
    network,
    isWanted,
    nowMicros,
  }: { readonly network: string; readonly isWanted: boolean; readonly nowMicros: Micros },
): Promise<void> {
  await knowNetwork(db, network);
  await sql`
    INSERT INTO deposit_screening (network_id, is_on, decided_at, decided_by, why)
    SELECT n.id, ${isWanted}::boolean OR were.screened, ${nowMicros}::bigint, ${BY_START},
      CASE WHEN were.screened THEN 'deposits were screened before this was decided' ELSE 'as the first process was configured' END
    FROM network n, LATERAL (SELECT ${depositsWait(sql`n.id`, null)} AS screened) AS were WHERE n.name = ${network}
    ON CONFLICT DO NOTHING`.execute(db);
}
