/** Looks at each treasury's preapproval again and again, writes down what it sees, and says aloud what got worse or better. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Leases } from '../db/lease.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { readPreapprovals } from '../read/preapprovals.ts';
import { readTokensOfNetwork } from '../read/tokens.ts';
import { healthOf, type PreapprovalState } from './preapproval-health.ts';
import { lookAtPreapproval, type PreapprovalLook } from './preapproval-look.ts';

export type MonitorOptions = {
  readonly db: Database;
  /** A session of its own. */
  readonly ledger: Ledger;
  readonly treasury: Treasury;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

/** One instrument that has preapprovals, and what the participant shows of ours. */
export type Looked = {
  /** The database's number. */
  readonly instrumentKey: number;
  readonly admin: string;
  readonly look: PreapprovalLook;
};

/**
 * One look at every preapproval that the treasury may have. What the participant fails at is written down.
 * @returns what could be seen. @throws RetryableError when the database is away.
 */
export async function lookAtTreasury(options: MonitorOptions): Promise<readonly Looked[]> {
  const { db, ledger, treasury, clock, logger, signal } = options;
  const tokens = await readTokensOfNetwork(db, treasury.network);
  const seen: Looked[] = [];
  for (const { instrument } of tokens.filter(({ implementation }) => implementation === 'SPLICE_AMULET')) {
    const { admin, instrumentId } = instrument;
    const instrumentKey = await keyOf(db, treasury, { admin, instrumentId });
    const before = await stateOf(options, admin);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS_MAX)]);
    try {
      await ledger.participantId();
      const look = await lookAtPreapproval(ledger, { party: treasury.party, admin, signal: limit });
      if (limit.aborted)
        throw new RetryableError('PREAPPROVAL_LOOK_LATE', 'The active contracts did not come in time.');
      await writeLook(db, treasury.id, instrumentKey, look, clock);
      seen.push({ instrumentKey, admin, look });
    } catch (error) {
      if (signal.aborted) return seen;
      await writeTrouble(db, treasury.id, instrumentKey, messageOf(error), clock);
    }
    const after = await stateOf(options, admin);
    if (after.state === before.state) continue;
    const facts = { treasury: treasury.name, instrument: instrument.name, state: after.state, was: before.state };
    if (after.alarm === null) logger.info('The preapproval is valid.', facts);
    else
      logger.error('A deposit address is about to stop taking direct deposits, or has.', {
        ...facts,
        alarm: after.alarm,
      });
  }
  return seen;
}

const LOOK_MS_MAX = 30_000; // A handful of contracts; a participant that takes longer is ill.
const EVERY_MS = 600_000; // Expiry is a matter of days.
const POLLS_PER_ROUND = 20;

/** Runs until `signal` aborts. @param onLook what is done with what was seen, e.g. propose a new one. @throws as {@link runPollingLoop}. */
export async function runPreapprovalMonitor(
  options: MonitorOptions & {
    readonly leases: Leases;
    readonly holder: string;
    readonly random: Random;
    readonly everyMs?: number;
    readonly onLook?: (seen: readonly Looked[]) => Promise<void>;
  },
): Promise<void> {
  const { treasury, leases, holder, clock, random, logger, signal, everyMs = EVERY_MS, onLook } = options;
  let round = 0;
  await runPollingLoop({
    name: `preapproval of ${treasury.name}`,
    pass: async () => {
      round += 1;
      // Not released: it is the turn itself, and gone when the next round is due.
      const ttlMs = everyMs * (1 - 1 / (2 * POLLS_PER_ROUND));
      const turn = await leases.acquire({ name: `preapproval:${treasury.id}`, holder: `${holder}:${round}`, ttlMs });
      if (turn === null) return false;
      const seen = await lookAtTreasury(options);
      if (!signal.aborted) await onLook?.(seen);
      return false;
    },
    wakeUp: createWakeUp(clock),
    pollMs: everyMs / POLLS_PER_ROUND,
    clock,
    random,
    logger,
    signal,
  });
}

async function stateOf({ db, treasury, clock }: MonitorOptions, admin: string) {
  const [known = []] = await readPreapprovals(db, [treasury]);
  const own = known.find(({ instrument }) => instrument.admin === admin);
  const nothing: { state: PreapprovalState; alarm: string | null } = { state: 'UNKNOWN', alarm: null };
  return own === undefined ? nothing : healthOf(own, clock.nowMicros());
}

async function keyOf(
  db: Database,
  { networkId }: Treasury,
  { admin, instrumentId }: { readonly admin: string; readonly instrumentId: string },
): Promise<number> {
  const { id } = await db
    .selectFrom('instrument')
    .select('id')
    .where('network_id', '=', networkId)
    .where('admin', '=', admin)
    .where('instrument_id', '=', instrumentId)
    .executeTakeFirstOrThrow();
  return id;
}

async function writeLook(
  db: Database,
  treasuryId: number,
  instrumentKey: number,
  { offset, preapproval, proposal }: PreapprovalLook,
  clock: Clock,
): Promise<void> {
  const now = clock.nowMicros();
  const columns = {
    tried_at: now,
    trouble: null,
    checked_at: now,
    ledger_offset: offset,
    contract_id: preapproval?.contractId ?? null,
    provider: preapproval?.provider ?? null,
    valid_from: preapproval?.validFrom ?? null,
    last_renewed_at: preapproval?.lastRenewedAt ?? null,
    expires_at: preapproval?.expiresAt ?? null,
    proposal_contract_id: proposal?.contractId ?? null,
    proposal_provider: proposal?.provider ?? null,
  };
  await db
    .insertInto('preapproval')
    .values({ treasury_id: treasuryId, instrument_id: instrumentKey, ...columns })
    .onConflict((conflict) => conflict.columns(['treasury_id', 'instrument_id']).doUpdateSet(columns))
    .execute();
}

async function writeTrouble(
  db: Database,
  treasuryId: number,
  instrumentKey: number,
  trouble: string,
  clock: Clock,
): Promise<void> {
  await sql`
    INSERT INTO preapproval (treasury_id, instrument_id, tried_at, trouble)
    VALUES (${treasuryId}, ${instrumentKey}, ${clock.nowMicros()}, ${trouble})
    ON CONFLICT (treasury_id, instrument_id) DO UPDATE SET tried_at = EXCLUDED.tried_at, trouble = EXCLUDED.trouble`.execute(
    db,
  );
}
