/**
 * The desk: people decide about deposits and offers that could be credited to nobody, or were denied by screening. Each decision is a row that is never deleted, with
 * who asked, who agreed and why; above a limit, and always for what was denied, two people decide. What a decision does, it does in one transaction with its row
 * and its events: nothing is credited twice or sent back twice, however often it is asked for.
 */
import type { Database, Transaction } from '../db/connection.ts';
import { DatabaseRestoredError } from '../db/database-restore.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { personOf } from '../env/person.ts';
import { type Amount, parseAmount } from '../tokens/amount.ts';
import type { Withdrawals } from '../withdrawals/withdrawal-requests.ts';
import { announceDecision } from './desk-announcement.ts';
import { assignCase } from './desk-assign.ts';
import { isOpenForDecision, type LockedCase, lockCase } from './desk-case-lock.ts';
import { demandNotSentBack, refundCase } from './desk-refund.ts';
import { DeskRefusal, deskRestored } from './desk-refusal.ts';

export type DeskKind = 'ASSIGN' | 'REFUND';

export type Desk = {
  /** Makes a deposit, or an offer once it is accepted, a customer's. @throws DeskRefusal: nothing was changed. */
  assign(wanted: {
    readonly transferId: string;
    readonly account: string;
    readonly reason: string;
    readonly by: string;
  }): Promise<DeskResult>;
  /** Sends a deposit back to its sender, by a withdrawal. @throws DeskRefusal. */
  refund(wanted: { readonly transferId: string; readonly reason: string; readonly by: string }): Promise<DeskResult>;
  /** Somebody else agrees, and it is done. @throws DeskRefusal. */
  approve(wanted: Judgement): Promise<DeskResult>;
  /** Somebody, also the one who asked, says no: the case is open again. @throws DeskRefusal. */
  refuse(wanted: Judgement): Promise<DeskResult>;
};

export type Judgement = { readonly decisionId: bigint; readonly reason: string; readonly by: string };

/** `isReplayed`: the same was decided, or asked for, before, and this call changed nothing. */
export type DeskResult = { readonly decisionId: bigint; readonly isReplayed: boolean };

/** What one person may decide alone, by `admin/id` of the instrument; of others nothing. */
export type DeskLimits = ReadonlyMap<string, Amount>;

export type DeskOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly limits: DeskLimits;
  /** Whether what is assigned waits for the screening stands in the database; this is as `depositsWait` has it. */
  readonly screenedSince?: Micros | null;
  /** Null: this installation does not pay out, and so sends nothing back. */
  readonly withdrawals: Withdrawals | null;
};

type Wanted = {
  readonly kind: DeskKind;
  readonly transferId: string;
  readonly account: { readonly id: bigint; readonly name: string } | null;
  readonly reason: string;
  readonly by: string;
};

const REASON_BYTES_MAX = 1_000;
const BIGINT_MAX = 2n ** 63n - 1n;

export function createDesk(options: DeskOptions): Desk {
  const { db, clock } = options;
  return {
    assign: async ({ transferId, account, reason, by }) => {
      demandReason(reason);
      return await inTransaction(async (tx) => {
        const found = await lockCase(tx, transferId);
        const owner = await findAccount(tx, found.networkId, account);
        return await decide(tx, found, { kind: 'ASSIGN', transferId, account: owner, reason, by });
      });
    },
    refund: async ({ transferId, reason, by }) => {
      demandReason(reason);
      return await inTransaction(async (tx) => {
        const found = await lockCase(tx, transferId);
        return await decide(tx, found, { kind: 'REFUND', transferId, account: null, reason, by });
      });
    },
    approve: async (judgement) => await judge(judgement, 'DONE'),
    refuse: async (judgement) => await judge(judgement, 'REFUSED'),
  };

  async function inTransaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    try {
      return await db.transaction().execute(work);
    } catch (error) {
      if (error instanceof DatabaseRestoredError) throw deskRestored(error);
      throw error;
    }
  }

  async function decide(tx: Transaction, found: LockedCase, wanted: Wanted): Promise<DeskResult> {
    const earlier = await replayOf(tx, found, wanted);
    if (earlier !== null) return { decisionId: earlier, isReplayed: true };
    demandDecidable(found, wanted.kind);
    const pending = await pendingOf(tx, wanted.transferId);
    if (pending !== null) throw new DeskRefusal('DECISION_PENDING');
    const needsApproval = isForTwo(found);
    const nowMicros = clock.nowMicros();
    const { id } = await tx
      .insertInto('desk_decision')
      .values({
        transfer_id: wanted.transferId,
        kind: wanted.kind,
        state: needsApproval ? 'AWAITING_APPROVAL' : 'DONE',
        account_id: wanted.account?.id ?? null,
        needs_approval: needsApproval,
        reason: wanted.reason,
        requested_by: wanted.by,
        requested_at: nowMicros,
        ...(needsApproval ? {} : { decided_by: wanted.by, decided_at: nowMicros }),
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    const withdrawalId = needsApproval ? null : await execute(tx, found, wanted, id, nowMicros);
    await announceDecision(tx, id, { withdrawalId, nowMicros });
    return { decisionId: id, isReplayed: false };
  }

  async function judge(judgement: Judgement, verdict: 'DONE' | 'REFUSED'): Promise<DeskResult> {
    const { decisionId, reason, by } = judgement;
    demandReason(reason);
    if (decisionId < 1n || decisionId > BIGINT_MAX) throw new DeskRefusal('DECISION_UNKNOWN');
    return await inTransaction(async (tx) => {
      const { transfer_id } =
        (await tx.selectFrom('desk_decision').select('transfer_id').where('id', '=', decisionId).executeTakeFirst()) ??
        refuse('DECISION_UNKNOWN');
      // The case before its decision, as whoever decides anew locks them.
      const found = await lockCase(tx, transfer_id);
      const decision = await tx
        .selectFrom('desk_decision')
        .selectAll()
        .where('id', '=', decisionId)
        .forUpdate()
        .executeTakeFirstOrThrow();
      if (decision.state === verdict && decision.decided_by === by && decision.needs_approval) {
        return { decisionId, isReplayed: true };
      }
      if (decision.state !== 'AWAITING_APPROVAL') throw new DeskRefusal('DECISION_UNKNOWN');
      if (verdict === 'DONE' && personOf(decision.requested_by) === personOf(by)) throw new DeskRefusal('SAME_PERSON');
      const nowMicros = clock.nowMicros();
      await tx
        .updateTable('desk_decision')
        .set({ state: verdict, decided_by: by, decided_at: nowMicros, decided_reason: reason })
        .where('id', '=', decisionId)
        .execute();
      let withdrawalId: string | null = null;
      if (verdict === 'DONE') {
        const kind = decision.kind === 'REFUND' ? 'REFUND' : 'ASSIGN';
        demandDecidable(found, kind);
        if (isDeniedSince(found, decision.requested_at)) throw new DeskRefusal('DECISION_OUTDATED');
        const account = decision.account_id === null ? null : await readAccount(tx, decision.account_id);
        const wanted = { kind, transferId: transfer_id, account, reason: decision.reason, by } as const;
        withdrawalId = await execute(tx, found, wanted, decisionId, nowMicros);
      }
      await announceDecision(tx, decisionId, { withdrawalId, nowMicros });
      return { decisionId, isReplayed: false };
    });
  }

  /** @returns the withdrawal that a refund made. */
  async function execute(
    tx: Transaction,
    found: LockedCase,
    { account, by }: Wanted,
    decisionId: bigint,
    nowMicros: Micros,
  ): Promise<string | null> {
    const { withdrawals } = options;
    if (account !== null) {
      const { screenedSince = null } = options;
      // An offer as well: by what is lost it may have been accepted, and sent back.
      await demandNotSentBack(tx, found, withdrawals);
      await assignCase(tx, found, { account, by, decisionId, nowMicros, screenedSince });
      return null;
    }
    if (withdrawals === null) throw new DeskRefusal('WITHDRAWALS_OFF');
    return await refundCase(tx, found, { decisionId, nowMicros, withdrawals });
  }

  function demandDecidable(found: LockedCase, kind: DeskKind): void {
    if (!isOpenForDecision(found)) throw new DeskRefusal('CASE_CLOSED');
    if (!found.isAccepted) throw new DeskRefusal('INSTRUMENT_NOT_ACCEPTED');
    if (!found.isAsTheLedgerSays) throw new DeskRefusal('DEPOSIT_GONE');
    const isOffer = found.state === 'OFFERED';
    if (kind === 'ASSIGN' && isOffer && isDenied(found)) throw new DeskRefusal('OFFER_DENIED');
    if (kind !== 'REFUND') return;
    if (isOffer) throw new DeskRefusal('NOTHING_HERE');
    if (found.sender === null) throw new DeskRefusal('SENDER_UNKNOWN');
    if (options.withdrawals === null) throw new DeskRefusal('WITHDRAWALS_OFF');
  }

  function isForTwo(found: LockedCase): boolean {
    const limit = options.limits.get(`${found.admin}/${found.instrumentId}`);
    return limit === undefined || isDenied(found) || parseAmount(found.amount) > limit;
  }
}

/** Whatever has become of the case since: what the service said of it stays said. */
function isDenied({ why, screening }: LockedCase): boolean {
  return why === 'DENIED' || screening?.state === 'DENIED';
}

function isDeniedSince({ screening }: LockedCase, since: Micros): boolean {
  return screening?.state === 'DENIED' && screening.decidedAt !== null && screening.decidedAt >= since;
}

/**
 * The decision that did, or waits to do, the very same; null: none. Only the newest counts: a refund that was not paid, and was followed by something else, is no
 * answer to another wish for a refund.
 */
async function replayOf(tx: Transaction, found: LockedCase, { kind, account }: Wanted): Promise<bigint | null> {
  const newest = await tx
    .selectFrom('desk_decision')
    .select(['id', 'kind', 'account_id', 'state'])
    .where('transfer_id', '=', found.transferId)
    .where('state', '<>', 'REFUSED')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (newest === undefined || newest.kind !== kind || newest.account_id !== (account?.id ?? null)) return null;
  return newest.state === 'AWAITING_APPROVAL' || !isOpenForDecision(found) ? newest.id : null;
}

async function pendingOf(tx: Transaction, transferId: string): Promise<bigint | null> {
  const row = await tx
    .selectFrom('desk_decision')
    .select('id')
    .where('transfer_id', '=', transferId)
    .where('state', '=', 'AWAITING_APPROVAL')
    .executeTakeFirst();
  return row?.id ?? null;
}

async function findAccount(
  tx: Transaction,
  networkId: number,
  name: string,
): Promise<{ readonly id: bigint; readonly name: string }> {
  if (!name.isWellFormed() || name.includes('\0')) throw new DeskRefusal('ACCOUNT_UNKNOWN');
  const row = await tx
    .selectFrom('account')
    .select(['id', 'owner as name'])
    .where('network_id', '=', networkId)
    .where('kind', '=', 'CUSTOMER')
    .where('owner', '=', name)
    .executeTakeFirst();
  return row ?? refuse('ACCOUNT_UNKNOWN');
}

async function readAccount(tx: Transaction, id: bigint): Promise<{ readonly id: bigint; readonly name: string }> {
  return await tx.selectFrom('account').select(['id', 'owner as name']).where('id', '=', id).executeTakeFirstOrThrow();
}

function demandReason(reason: string): void {
  const bytes = Buffer.byteLength(reason, 'utf8');
  const isKept = reason.isWellFormed() && !reason.includes('\0') && reason.trim() !== '';
  if (!isKept || bytes > REASON_BYTES_MAX) throw new DeskRefusal('REASON_INVALID');
}

function refuse(code: ConstructorParameters<typeof DeskRefusal>[0]): never {
  throw new DeskRefusal(code);
}
