/** The deposit feed: `deposits` and what it delivers. */
import { z } from 'zod';
import { formatEventCursor } from '../db/event-cursor.ts';
import type { LogEvent } from '../db/event-page.ts';
import { readDepositAccounts } from '../deposits/deposit-accounts.ts';
import {
  DEPOSIT_CREDITED,
  DEPOSIT_DENIED,
  DEPOSIT_FEED_TYPES,
  DEPOSIT_HELD,
  DEPOSIT_REFUNDED,
  DEPOSIT_UNATTRIBUTED,
  type DepositCredited,
  type DepositDenied,
  type DepositHeld,
  type DepositRefunded,
  type DepositUnattributed,
  depositCreditedPayload,
  depositDeniedPayload,
  depositHeldPayload,
  depositRefundedPayload,
  depositUnattributedPayload,
} from '../deposits/deposit-events.ts';
import { createLogFeed } from '../read/log-feed.ts';
import { readTransfers } from '../read/transfers.ts';
import { cursorErrorOf } from './api-error.ts';
import { builder } from './builder.ts';
import type { ApiContext } from './context.ts';
import { DepositAccountRef } from './deposit-account-ref.ts';
import { instrumentOfId } from './instrument.ts';
import { TransferRef } from './transfer-ref.ts';
import { treasuryOfId } from './treasury-party-ref.ts';

type DepositEvent = {
  readonly cursor: string;
  readonly eventId: string;
  readonly recordedAt: bigint;
} & (
  | { readonly kind: 'CREDITED'; readonly deposit: DepositCredited }
  | { readonly kind: 'HELD'; readonly deposit: DepositHeld }
  | { readonly kind: 'DENIED'; readonly deposit: DepositDenied }
  | { readonly kind: 'REFUNDED'; readonly deposit: DepositRefunded }
  | { readonly kind: 'UNATTRIBUTED'; readonly deposit: DepositUnattributed }
);

const DepositEventKindEnum = builder.enumType('DepositEventKind', {
  description: 'What became of a deposit. Since 0.1.',
  values: {
    CREDITED: { description: 'It is on a customer’s account.' },
    UNATTRIBUTED: { description: 'It names nobody we know and waits for a decision; `unattributedBecause` says why.' },
    HELD: { description: 'It is a customer’s and not available: it waits for the verdict of the screening service.' },
    DENIED: { description: 'The screening service denied it. It stays held until a person decides.' },
    REFUNDED: { description: 'It goes back to its sender; `withdrawalId` names what pays it.' },
  } as const,
});

export const UnattributedReasonEnum = builder.enumType('UnattributedReason', {
  description: 'Why a deposit belongs to nobody yet. Since 0.1.',
  values: {
    NO_MEMO: { description: 'It had no memo.' },
    UNKNOWN_MEMO: { description: 'Its memo stood for no account when it arrived.' },
    MEMO_DISABLED: { description: 'Its memo stands for an account and was disabled when it arrived.' },
    INSTRUMENT_NOT_ACCEPTED: { description: 'Deposits of its instrument are not credited.' },
  } as const,
});

const DepositInstrumentRef = builder
  .objectRef<{ readonly admin: string; readonly id: string }>('DepositInstrument')
  .implement({
    description: 'What was deposited, as the event recorded it. Scope: `read`. Since 0.1.',
    authScopes: { read: true },
    fields: (t) => ({
      admin: t.exposeString('admin', { description: 'Party id of the admin. Scope: `read`. Since 0.1.' }),
      instrumentId: t.exposeString('id', { description: 'The id the admin gave it. Scope: `read`. Since 0.1.' }),
    }),
  });

export const DepositEventRef = builder.objectRef<DepositEvent>('DepositEvent').implement({
  description:
    'Something that became of a deposit. Its own fields are facts as recorded and never change; `transfer` and `depositAccount` are read when delivered. Scopes: `subscribe` and `read`. Since 0.1.',
  authScopes: { $all: { subscribe: true, read: true } },
  fields: (t) => ({
    cursor: t.expose('cursor', {
      type: 'Cursor',
      description: 'Store it with what you did about the event, and resume `after` it. Scope: `read`. Since 0.1.',
    }),
    eventId: t.exposeString('eventId', {
      description: 'The same for the same event in every installation: deduplicate by it. Scope: `read`. Since 0.1.',
    }),
    kind: t.expose('kind', { type: DepositEventKindEnum, description: 'What became of it. Scope: `read`. Since 0.1.' }),
    account: t.string({
      nullable: true,
      description: 'The customer’s account it is on, or held for; null: nobody’s. Scope: `read`. Since 0.1.',
      resolve: (event) => ownerOf(event)?.account ?? null,
    }),
    screeningCaseId: t.string({
      nullable: true,
      description: 'The screening service’s own name for a denied one; null otherwise. Scope: `read`. Since 0.1.',
      resolve: (event) => (event.kind === 'DENIED' ? event.deposit.caseId : null),
    }),
    withdrawalId: t.string({
      nullable: true,
      description: '`wd_…`: what pays a refunded one back; null otherwise. Scope: `read`. Since 0.1.',
      resolve: (event) => (event.kind === 'REFUNDED' ? event.deposit.withdrawalId : null),
    }),
    unattributedBecause: t.field({
      type: UnattributedReasonEnum,
      nullable: true,
      description: 'Null: it is somebody’s, or goes back. Scope: `read`. Since 0.1.',
      resolve: (event) => (event.kind === 'UNATTRIBUTED' ? event.deposit.why : null),
    }),
    instrument: t.field({
      type: DepositInstrumentRef,
      description: 'What was deposited. Scope: `read`. Since 0.1.',
      resolve: ({ deposit }) => deposit.instrument,
    }),
    amount: t.field({
      type: 'Decimal',
      description: 'In units of the instrument. Scope: `read`. Since 0.1.',
      resolve: ({ deposit }) => deposit.amount,
    }),
    memo: t.string({
      nullable: true,
      description: 'As the sender gave it; null: none. Scope: `read`. Since 0.1.',
      resolve: ({ deposit }) => deposit.memo,
    }),
    sender: t.string({
      nullable: true,
      description: 'Party id of the sender; null: not seen. Scope: `read`. Since 0.1.',
      resolve: ({ deposit }) => deposit.sender,
    }),
    treasuryParty: t.string({
      description: 'Party id of the treasury party that received it. Scope: `read`. Since 0.1.',
      resolve: ({ deposit }) => deposit.treasuryParty,
    }),
    transferId: t.string({
      description: 'Id of its transfer, `tr_…`. Scope: `read`. Since 0.1.',
      resolve: ({ deposit }) => deposit.transferId,
    }),
    updateId: t.string({
      description: 'Id of the ledger’s update that brought it. Scope: `read`. Since 0.1.',
      resolve: ({ deposit }) => deposit.updateId,
    }),
    recordTime: t.field({
      type: 'RecordTime',
      description: 'Record time of that update. Scope: `read`. Since 0.1.',
      resolve: ({ deposit }) => BigInt(deposit.recordTime),
    }),
    recordedAt: t.expose('recordedAt', {
      type: 'RecordTime',
      description: 'When the event was written, by our clock. Scope: `read`. Since 0.1.',
    }),
    transfer: t.loadable({
      type: TransferRef,
      nullable: true,
      description:
        'Its transfer as it is now; null only while derived tables are being rebuilt. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readTransfers(db, ids),
      loaderOptions: { cache: false },
      resolve: ({ deposit }) => deposit.transferId,
    }),
    depositAccount: t.loadable({
      type: DepositAccountRef,
      nullable: true,
      description: 'The deposit account whose memo decided it; null: none did, or a person. Scope: `read`. Since 0.1.',
      load: async (ids: string[], { db }) => await readDepositAccounts(db, ids),
      loaderOptions: { cache: false },
      resolve: (event) => ownerOf(event)?.depositAccountId ?? null,
    }),
  }),
});

const DepositFilterInput = builder.inputType('DepositFilter', {
  description: 'Which deposits are told: all that is given holds together. Since 0.1.',
  fields: (t) => ({
    kinds: t.field({ type: [DepositEventKindEnum], description: 'What became of them. Null: anything.' }),
    account: t.string({ description: 'On this customer’s account, or held for it. Null: anybody’s, and nobody’s.' }),
    treasury: t.id({ description: 'Received by this `TreasuryParty`, by its global id. Null: by any.' }),
    instrument: t.id({ description: 'Of this `Instrument`, by its global id. Null: of any.' }),
  }),
});

const TYPE_OF_KIND: Readonly<Record<DepositEvent['kind'], string>> = {
  CREDITED: DEPOSIT_CREDITED,
  UNATTRIBUTED: DEPOSIT_UNATTRIBUTED,
  HELD: DEPOSIT_HELD,
  DENIED: DEPOSIT_DENIED,
  REFUNDED: DEPOSIT_REFUNDED,
};

builder.subscriptionField('deposits', (t) =>
  t.field({
    type: DepositEventRef,
    description:
      'Every deposit once it is credited, held, denied, going back, or known to be nobody’s: at least once, in order, first those after the cursor, then those that come. Ends only by an error or a cut connection: resume after the last cursor. `CURSOR_FROM_ANOTHER_LOG` means that the log was replaced: start again from one of the cursors in the error. Scopes: `subscribe` and `read`. Since 0.1.',
    authScopes: { $all: { subscribe: true, read: true } },
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'The last cursor seen. Null: only what comes from now on; for everything from the beginning pass `Query.eventLog.startCursor`.',
      }),
      filter: t.arg({ type: DepositFilterInput, description: 'Only these deposits. Null: all.' }),
    },
    subscribe: async (_root, { after, filter }, { tail }: ApiContext) => {
      const types = filter?.kinds?.map((kind) => TYPE_OF_KIND[kind]) ?? DEPOSIT_FEED_TYPES;
      const isWanted = depositConditionOf(filter ?? {});
      try {
        const point = await tail.pointAfter(after ?? null);
        return createLogFeed(tail, { after: point.position, types }, (event) => (isWanted(event) ? event : null));
      } catch (error) {
        throw cursorErrorOf(error);
      }
    },
    resolve: (event: LogEvent, _args, { tail }) => depositEventOf(event, tail.head().epoch),
  }),
);

type Wanted = {
  readonly account?: string | null | undefined;
  readonly treasury?: string | null | undefined;
  readonly instrument?: string | null | undefined;
};

/** As far as a payload must be understood to be chosen. One that is of another shape is told, and fails there, where somebody sees it. */
const chosenBy = z.object({
  account: z.string().optional(),
  treasuryParty: z.string(),
  instrument: z.object({ admin: z.string(), id: z.string() }),
});

/** @throws GraphQLError ID_INVALID. */
function depositConditionOf({ account, treasury, instrument }: Wanted): (event: LogEvent) => boolean {
  const party = treasuryOfId(treasury)?.party;
  const wanted = instrumentOfId(instrument);
  return ({ payload }) => {
    const { data } = chosenBy.safeParse(payload);
    if (data === undefined) return true;
    return (
      (account == null || data.account === account) &&
      (party === undefined || data.treasuryParty === party) &&
      (wanted === null || (data.instrument.admin === wanted.admin && data.instrument.id === wanted.instrumentId))
    );
  };
}

export function depositEventOf(event: LogEvent, epoch: string): DepositEvent {
  const { eventId, recordedAt, position, payload } = event;
  const common = { cursor: formatEventCursor({ epoch, position }), eventId, recordedAt };
  switch (event.type) {
    case DEPOSIT_CREDITED:
      return { ...common, kind: 'CREDITED', deposit: depositCreditedPayload.parse(payload) };
    case DEPOSIT_HELD:
      return { ...common, kind: 'HELD', deposit: depositHeldPayload.parse(payload) };
    case DEPOSIT_DENIED:
      return { ...common, kind: 'DENIED', deposit: depositDeniedPayload.parse(payload) };
    case DEPOSIT_REFUNDED:
      return { ...common, kind: 'REFUNDED', deposit: depositRefundedPayload.parse(payload) };
    default:
      return { ...common, kind: 'UNATTRIBUTED', deposit: depositUnattributedPayload.parse(payload) };
  }
}

function ownerOf(event: DepositEvent): { readonly account: string; readonly depositAccountId: string | null } | null {
  return event.kind === 'CREDITED' || event.kind === 'HELD' || event.kind === 'DENIED' ? event.deposit : null;
}
