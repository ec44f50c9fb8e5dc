/** What operators do about withdrawals: hold, park, try sooner, and, two of them together, decide what nobody can read. */
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import {
  readDoubtsOf,
  readResolutionsOf,
  readStopsOf,
  readWithdrawalOfResolution,
  type WithdrawalDoubt,
  type WithdrawalResolution,
  type WithdrawalStop,
} from '../read/withdrawal-control.ts';
import { readWithdrawals, type Withdrawal } from '../read/withdrawals.ts';
import { DEFAULT_LIMITS } from '../withdrawals/automation.ts';
import { CONTROL_REFUSAL_CODES, ControlRefusal } from '../withdrawals/control-refusal.ts';
import { approveResolution, askResolution, refuseResolution } from '../withdrawals/resolution.ts';
import { retryNow } from '../withdrawals/retry-now.ts';
import { releaseWithdrawal, stopWithdrawal } from '../withdrawals/withdrawal-stops.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-interface.ts';
import { WithdrawalRef } from './withdrawal.ts';

builder.objectType(ControlRefusal, {
  name: 'WithdrawalControlRefusal',
  description: `Nothing was changed. Codes ${CONTROL_REFUSAL_CODES.map((code) => `\`${code}\``).join(', ')}. Scope: \`operate\`. Since 0.1.`,
  authScopes: { operate: true },
  interfaces: [ErrorInterface],
});

const StopKindEnum = builder.enumType('WithdrawalStopKind', {
  description: 'How the automation is kept from a withdrawal. Since 0.1.',
  values: {
    HOLD: { description: 'Somebody wants to look first.' },
    PARK: { description: 'It is out of the automation until a person says otherwise.' },
  } as const,
});

const StopRef = builder.objectRef<WithdrawalStop>('WithdrawalStop').implement({
  description: 'A hold, or parking, of a withdrawal. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    kind: t.expose('kind', { type: StopKindEnum, description: 'Which of the two. Scope: `read`. Since 0.1.' }),
    why: t.exposeString('why', { description: 'In the words of who set it. Scope: `read`. Since 0.1.' }),
    setAt: t.expose('setAt', {
      type: 'RecordTime',
      description: 'Since when, by our clock. Scope: `read`. Since 0.1.',
    }),
    setBy: t.exposeString('setBy', {
      description: 'A principal, or the part of Sluice that did it. Scope: `read`. Since 0.1.',
    }),
    releasedAt: t.expose('releasedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'Until when, by our clock; null: it stands. Scope: `read`. Since 0.1.',
    }),
    releasedBy: t.exposeString('releasedBy', {
      nullable: true,
      description: 'Who let it go on; null: it stands. Scope: `read`. Since 0.1.',
    }),
    releaseWhy: t.exposeString('releaseWhy', {
      nullable: true,
      description: 'Why it could go on; null: it stands. Scope: `read`. Since 0.1.',
    }),
  }),
});

const ResolutionOutcomeEnum = builder.enumType('WithdrawalResolutionOutcome', {
  description: 'How people say that a withdrawal ended. Since 0.1.',
  values: {
    COMPLETED: { description: 'It was paid.' },
    RETURNED: { description: 'Its offer came back: booked back. Only where it was offered.' },
    FAILED: { description: 'It was not paid: booked back. Only where it was not offered.' },
  } as const,
});

const ResolutionStateEnum = builder.enumType('WithdrawalResolutionState', {
  description: 'How far two people are. Since 0.1.',
  values: {
    AWAITING_APPROVAL: { description: 'It waits for a second person.' },
    DONE: { description: 'Two people agreed, and the withdrawal ended.' },
    REFUSED: { description: 'Somebody said no.' },
  } as const,
});

const ResolutionRef = builder.objectRef<WithdrawalResolution>('WithdrawalResolution').implement({
  description: 'What people make of a withdrawal that nobody can read. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    resolutionId: t.expose('id', { type: 'BigInt', description: 'Its number. Scope: `read`. Since 0.1.' }),
    outcome: t.expose('outcome', {
      type: ResolutionOutcomeEnum,
      description: 'How it ended, as they say. Scope: `read`. Since 0.1.',
    }),
    evidence: t.exposeString('evidence', { description: 'What was looked at. Scope: `read`. Since 0.1.' }),
    updateId: t.exposeString('updateId', {
      nullable: true,
      description: 'Where it was paid; null: nobody knows, or it was not. Scope: `read`. Since 0.1.',
    }),
    state: t.expose('state', { type: ResolutionStateEnum, description: 'How far it is. Scope: `read`. Since 0.1.' }),
    requestedBy: t.exposeString('requestedBy', { description: 'Who asked. Scope: `read`. Since 0.1.' }),
    requestedAt: t.expose('requestedAt', {
      type: 'RecordTime',
      description: 'By our clock. Scope: `read`. Since 0.1.',
    }),
    decidedBy: t.exposeString('decidedBy', {
      nullable: true,
      description: 'Who agreed or refused; null: it waits. Scope: `read`. Since 0.1.',
    }),
    decidedAt: t.expose('decidedAt', {
      type: 'RecordTime',
      nullable: true,
      description: 'By our clock; null: it waits. Scope: `read`. Since 0.1.',
    }),
    decidedReason: t.exposeString('decidedReason', {
      nullable: true,
      description: 'In the words of the second person; null: it waits. Scope: `read`. Since 0.1.',
    }),
  }),
});

const DoubtRef = builder.objectRef<WithdrawalDoubt>('WithdrawalDoubt').implement({
  description: 'Why nobody can read how a withdrawal ended. Scope: `read`. Since 0.1.',
  authScopes: { read: true },
  fields: (t) => ({
    code: t.exposeString('code', {
      description: 'Stable, for programs: `INPUTS_VANISHED`, `OFFER_END_UNREADABLE`. Scope: `read`. Since 0.1.',
    }),
    detail: t.exposeString('detail', { description: 'For people; may change. Scope: `read`. Since 0.1.' }),
  }),
});

builder.objectFields(WithdrawalRef, (t) => ({
  stops: t.loadableList({
    type: StopRef,
    description: 'Holds and parking, oldest first, released ones included. Scope: `read`. Since 0.1.',
    load: async (ids: string[], { db }) => await readStopsOf(db, ids),
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
  resolutions: t.loadableList({
    type: ResolutionRef,
    description: 'What people made of it, oldest first. Scope: `read`. Since 0.1.',
    load: async (ids: string[], { db }) => await readResolutionsOf(db, ids),
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
  doubt: t.loadable({
    type: DoubtRef,
    nullable: true,
    description:
      'With `UNRESOLVED`: why nobody can read how it ended; it stays when it was resolved. Null: none. Scope: `read`. Since 0.1.',
    load: async (ids: string[], { db }) => await readDoubtsOf(db, ids),
    loaderOptions: { cache: false },
    resolve: ({ id }) => id,
  }),
}));

type ControlPayload = { readonly withdrawal: Withdrawal };

const ControlPayloadRef = builder.objectRef<ControlPayload>('WithdrawalControlPayload').implement({
  description: 'It is done and recorded. Scope: `operate`. Since 0.1.',
  authScopes: { operate: true },
  fields: (t) => ({
    withdrawal: t.field({
      type: WithdrawalRef,
      description: 'As it stands now. Scopes: `operate` and `read`. Since 0.1.',
      resolve: ({ withdrawal }) => withdrawal,
    }),
  }),
});

const ControlInput = builder.inputType('WithdrawalControlInput', {
  description: 'Which withdrawal, and why. Since 0.1.',
  fields: (t) => ({
    withdrawalId: t.string({ required: true, description: '`wd_…`.' }),
    why: t.string({ required: true, description: 'For those who come after; 1 to 1000 bytes, kept for ever.' }),
  }),
});

type Word = { readonly by: string; readonly why: string; readonly nowMicros: Micros };

function controlMutation(
  name: string,
  work: (db: Database, id: string, word: Word) => Promise<unknown>,
  description: string,
): void {
  builder.mutationField(name, (t) =>
    t.field({
      type: ControlPayloadRef,
      description: `${description} Scopes: \`operate\` and \`read\`. Since 0.1.`,
      authScopes: BOTH,
      args: { input: t.arg({ type: ControlInput, required: true, description: 'Which, and why.' }) },
      errors: union(`${name[0]?.toUpperCase()}${name.slice(1)}Result`),
      resolve: async (_root, { input: { withdrawalId, why } }, { db, clock, principal }) => {
        if (!isStorableText(withdrawalId)) throw new ControlRefusal('WITHDRAWAL_UNKNOWN');
        await work(db, withdrawalId, { by: principal.name, why, nowMicros: clock.nowMicros() });
        return await payloadOf(db, withdrawalId);
      },
    }),
  );
}

const BOTH = { $all: { operate: true, read: true } } as const;
const union = (name: string) => ({
  types: [ControlRefusal],
  union: { name, description: 'The withdrawal, or why nothing was changed. Scope: `operate`. Since 0.1.' },
});

controlMutation(
  'holdWithdrawal',
  async (db, id, word) => await stopWithdrawal(db, id, 'HOLD', word),
  'Keeps a withdrawal from new attempts and new signatures, in every process; what is signed goes on as the ledger has it. Harmless when repeated.',
);
controlMutation(
  'resumeWithdrawal',
  async (db, id, word) => await releaseWithdrawal(db, id, 'HOLD', word),
  'Lets a withdrawal go on that is held.',
);
controlMutation(
  'parkWithdrawal',
  async (db, id, word) => await stopWithdrawal(db, id, 'PARK', word),
  'Takes a withdrawal out of the automation until somebody calls `unparkWithdrawal`. Nothing ends by it. Harmless when repeated.',
);
controlMutation(
  'unparkWithdrawal',
  async (db, id, word) => await releaseWithdrawal(db, id, 'PARK', word),
  'Puts a parked withdrawal back into the automation.',
);
controlMutation(
  'retryWithdrawalNow',
  async (db, id, { nowMicros }) => await retryNow(db, id, { triesMax: DEFAULT_LIMITS.triesMax, nowMicros }),
  'Brings the next try of an open attempt forward; it stays one attempt: all its tries together can be paid once. Of one that waits for the screening service: has that asked again at once, also where the question was parked.',
);

const ResolveWithdrawalInput = builder.inputType('ResolveWithdrawalInput', {
  description: 'How a withdrawal ended that nobody can read. Since 0.1.',
  fields: (t) => ({
    withdrawalId: t.string({ required: true, description: '`wd_…`, `UNRESOLVED` or waiting for `PAID_BEFORE`.' }),
    outcome: t.field({ type: ResolutionOutcomeEnum, required: true, description: 'How it ended.' }),
    evidence: t.string({ required: true, description: 'What was looked at; 1 to 4000 bytes, kept for ever.' }),
    updateId: t.string({ description: 'Where it was paid, if somebody knows: it is checked as far as it can be.' }),
  }),
});

const JudgeResolutionInput = builder.inputType('JudgeResolutionInput', {
  description: 'What a second person says to a resolution. Since 0.1.',
  fields: (t) => ({
    resolutionId: t.field({ type: 'BigInt', required: true, description: 'Its number.' }),
    reason: t.string({ required: true, description: 'What was looked at; 1 to 1000 bytes, kept for ever.' }),
  }),
});

builder.mutationFields((t) => ({
  resolveWithdrawal: t.field({
    type: ControlPayloadRef,
    description:
      'Says how a withdrawal ended that nobody can read. It ends, and is booked, when somebody else calls `approveResolution`; should the ledger tell before, that is what counts. Scopes: `operate` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: ResolveWithdrawalInput, required: true, description: 'Which, how, and why.' }) },
    errors: union('ResolveWithdrawalResult'),
    resolve: async (_root, { input }, { db, clock, principal }) => {
      const { withdrawalId, outcome, evidence, updateId = null } = input;
      if (!isStorableText(withdrawalId)) throw new ControlRefusal('WITHDRAWAL_UNKNOWN');
      if (!isStorableText(updateId ?? '')) throw new ControlRefusal('UPDATE_UNKNOWN');
      const common = { by: principal.name, nowMicros: clock.nowMicros() };
      await askResolution(db, {
        withdrawalId,
        outcome,
        evidence,
        updateId: updateId === '' ? null : updateId,
        ...common,
      });
      return await payloadOf(db, withdrawalId);
    },
  }),
  approveResolution: t.field({
    type: ControlPayloadRef,
    description:
      'Agrees to a resolution of somebody else: the withdrawal ends. Scopes: `operate` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: JudgeResolutionInput, required: true, description: 'Which, and why.' }) },
    errors: union('ApproveResolutionResult'),
    resolve: async (_root, { input: { resolutionId, reason } }, { db, clock, principal }) => {
      await approveResolution(db, { resolutionId, reason, by: principal.name, nowMicros: clock.nowMicros() });
      return await payloadOf(db, await withdrawalOf(db, resolutionId));
    },
  }),
  refuseResolution: t.field({
    type: ControlPayloadRef,
    description: 'Says no to a resolution that waits, also to one’s own. Scopes: `operate` and `read`. Since 0.1.',
    authScopes: BOTH,
    args: { input: t.arg({ type: JudgeResolutionInput, required: true, description: 'Which, and why.' }) },
    errors: union('RefuseResolutionResult'),
    resolve: async (_root, { input: { resolutionId, reason } }, { db, clock, principal }) => {
      await refuseResolution(db, { resolutionId, reason, by: principal.name, nowMicros: clock.nowMicros() });
      return await payloadOf(db, await withdrawalOf(db, resolutionId));
    },
  }),
}));

async function withdrawalOf(db: Database, resolutionId: bigint): Promise<string> {
  const id = await readWithdrawalOfResolution(db, resolutionId);
  if (id === null) throw new ControlRefusal('RESOLUTION_UNKNOWN');
  return id;
}

async function payloadOf(db: Database, id: string): Promise<ControlPayload> {
  const [withdrawal = null] = await readWithdrawals(db, [id]);
  if (withdrawal === null) throw new ControlRefusal('WITHDRAWAL_UNKNOWN');
  return { withdrawal };
}
