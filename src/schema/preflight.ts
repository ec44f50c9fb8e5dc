/** `withdrawalPreflight`: what a frontend can tell a customer before he commits. */

import type {
  Check,
  PreflightReport,
  PreflightRequest,
  PreflightVerdict,
  ReceiverPreapproval,
  TreasuryFunds,
} from '../preflight/preflight-report.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { apiError } from './api-error.ts';
import { builder } from './builder.ts';
import { TreasuryPartyRef } from './treasury-party-ref.ts';
import { WithdrawalsOffError } from './withdrawal-refusal.ts';

const PreflightOutlookEnum = builder.enumType('PreflightOutlook', {
  description: 'What would become of it, as far as everybody says at this moment; the worst of the checks. Since 0.1.',
  values: {
    READY: { description: 'It would be taken and paid at once.' },
    WAITS: { description: 'It would be taken and wait; the checks say for what.' },
    UNKNOWN: { description: 'Somebody who must be asked did not answer. It can be asked for all the same.' },
    REFUSED: { description: 'It would be refused, or end unpaid; the checks say why.' },
  } satisfies Record<PreflightReport['outlook'], { description: string }>,
});

const PreflightCheckKindEnum = builder.enumType('PreflightCheckKind', {
  description: 'What is looked at. Since 0.1.',
  values: {
    REQUEST: { description: 'Whether `createWithdrawal` would take it: its refusals have the same codes here.' },
    POLICY: { description: 'What the rules say: allowed, denied, or people have to approve it.' },
    STANDSTILL: { description: 'Whether a halt, a freeze or the token’s own state keeps it from being paid.' },
    LEDGER: { description: 'Whether the ledger is followed closely enough to promise an end.' },
    RECEIVER: { description: 'Whether a participant that knows the token hosts the receiver.' },
    TRANSFER_KIND: { description: 'Whether it would be a direct transfer or an offer, and whether that is allowed.' },
    PREAPPROVAL: { description: 'Until when the receiver takes Canton Coin without being asked.' },
    FUNDS: { description: 'Whether the treasury that pays has enough in holdings that can be spent.' },
    FEE: { description: 'What the customer pays beside the amount.' },
    TRAFFIC: { description: 'Whether the participant has paid for enough traffic.' },
  } satisfies Record<Check['kind'], { description: string }>,
});

const PreflightCheckOutcomeEnum = builder.enumType('PreflightCheckOutcome', {
  description: 'What a check came to. Since 0.1.',
  values: {
    PASSED: { description: 'Nothing in the way.' },
    WAITS: { description: 'It would be taken, and wait for this.' },
    REFUSED: { description: 'It would be refused, or end unpaid.' },
    UNKNOWN: { description: 'Whoever knows it did not say in time; `detail` says why.' },
    NOT_ASKED: { description: 'There is nothing to ask here, or nobody to ask.' },
  } satisfies Record<Check['outcome'], { description: string }>,
});

const PreflightSourceEnum = builder.enumType('PreflightSource', {
  description: 'Who said so. Since 0.1.',
  values: {
    DATABASE: { description: 'Our own rows and rules.' },
    REGISTRY: { description: 'The token’s registry.' },
    SCAN: { description: 'Scan, or the validator’s proxy of it.' },
    PARTICIPANT: { description: 'The participant of the treasury.' },
  } satisfies Record<Check['source'], { description: string }>,
});

const PreflightCertaintyEnum = builder.enumType('PreflightCertainty', {
  description: 'How sure a check is. Since 0.1.',
  values: {
    FIRM: { description: 'By the rules and rows that would decide a request made at `asOf`.' },
    LIKELY: { description: 'What somebody else said at `asOf`, who is asked again when it is paid.' },
    NONE: { description: 'Nobody said anything.' },
  } satisfies Record<Check['certainty'], { description: string }>,
});

const PreflightFundsStateEnum = builder.enumType('PreflightFundsState', {
  description: 'Whether one treasury party could pay it. Since 0.1.',
  values: {
    ENOUGH: { description: 'Now.' },
    WAIT: { description: 'When others that come before, or hold what is needed, are done.' },
    TOO_LITTLE: { description: 'Not with all that it has.' },
  } satisfies Record<TreasuryFunds['outcome'], { description: string }>,
});

const SCOPE = 'Scope: `withdrawals`. Since 0.1.';

const PreflightCheckRef = builder.objectRef<Check>('PreflightCheck').implement({
  description: `One question about a withdrawal that nobody has asked for yet. ${SCOPE}`,
  authScopes: { $any: { withdrawals: true, own: true } },
  fields: (t) => ({
    kind: t.expose('kind', { type: PreflightCheckKindEnum, description: `Which question. ${SCOPE}` }),
    outcome: t.expose('outcome', { type: PreflightCheckOutcomeEnum, description: `What it came to. ${SCOPE}` }),
    code: t.exposeString('code', {
      nullable: true,
      description: `Why, for programs, e.g. \`RECEIVER_NOT_PREAPPROVED\`; null: nothing is in the way. ${SCOPE}`,
    }),
    detail: t.exposeString('detail', { description: `For people; may change. ${SCOPE}` }),
    source: t.expose('source', { type: PreflightSourceEnum, description: `Who said so, or should have. ${SCOPE}` }),
    certainty: t.expose('certainty', { type: PreflightCertaintyEnum, description: `How sure it is. ${SCOPE}` }),
    asOf: t.expose('asOf', {
      type: 'RecordTime',
      nullable: true,
      description: `When the source said so, by our clock; null: it did not. ${SCOPE}`,
    }),
  }),
});

const PreflightVerdictKindEnum = builder.enumType('PreflightVerdictKind', {
  description: 'What the policy says. Since 0.1.',
  values: {
    ALLOW: { description: 'It may be paid.' },
    NEEDS: { description: 'People, the screening service, or both, have to say yes first.' },
    DENY: { description: 'It would be rejected.' },
  } satisfies Record<PreflightVerdict['kind'], { description: string }>,
});

const PreflightVerdictRef = builder.objectRef<PreflightVerdict>('PreflightVerdict').implement({
  description: `What the policy in force says of it now. It is judged when it is asked for, and again before it is signed where the policy has changed. ${SCOPE}`,
  authScopes: { $any: { withdrawals: true, own: true } },
  fields: (t) => ({
    kind: t.expose('kind', { type: PreflightVerdictKindEnum, description: `In one word. ${SCOPE}` }),
    approvalsNeeded: t.exposeInt('approvalsNeeded', {
      description: `How many people would have to approve it; 0: none. ${SCOPE}`,
    }),
    needsScreening: t.exposeBoolean('needsScreening', {
      description: `True: the screening service would be asked. ${SCOPE}`,
    }),
    policyVersion: t.exposeInt('policyVersion', {
      description: `Of the policy that says so; 0: nobody has set one. ${SCOPE}`,
    }),
    reasons: t.stringList({
      description: `Which rules say so, and why, for people. ${SCOPE}`,
      resolve: ({ reasons }) => reasons.map(({ rule, text }) => `${rule}: ${text}`),
    }),
  }),
});

const PreflightPreapprovalRef = builder.objectRef<ReceiverPreapproval>('PreflightPreapproval').implement({
  description: `The receiver’s consent to be paid Canton Coin without being asked, as Scan shows it. ${SCOPE}`,
  authScopes: { $any: { withdrawals: true, own: true } },
  fields: (t) => ({
    provider: t.exposeString('provider', { description: `The party whose validator renews it. ${SCOPE}` }),
    expiresAt: t.expose('expiresAt', {
      type: 'RecordTime',
      description: `When it ends by the ledger’s time, unless it is renewed. ${SCOPE}`,
    }),
    outlastsTarget: t.exposeBoolean('outlastsTarget', {
      description: `True: it is valid past the last moment at which an attempt that opened now could pay. ${SCOPE}`,
    }),
  }),
});

const PreflightFundsRef = builder.objectRef<TreasuryFunds>('PreflightFunds').implement({
  description: `What one treasury party could pay it from, as its ingested history has it. ${SCOPE}`,
  authScopes: { $any: { withdrawals: true, own: true } },
  fields: (t) => ({
    treasury: t.field({
      type: TreasuryPartyRef,
      description: `Which one. Scopes: \`withdrawals\` and \`read\`. Since 0.1.`,
      resolve: ({ treasury }) => treasury,
    }),
    state: t.expose('outcome', { type: PreflightFundsStateEnum, description: `Whether it could. ${SCOPE}` }),
    reach: t.expose('reach', {
      type: 'Decimal',
      description: `What one transaction could pay now, in units of the instrument: unlocked, unreserved, as many holdings as it takes. ${SCOPE}`,
    }),
    free: t.expose('free', {
      type: 'Decimal',
      description: `All that is unlocked and unreserved, in units of the instrument. ${SCOPE}`,
    }),
    total: t.expose('total', {
      type: 'Decimal',
      description: `All unspent holdings, in units of the instrument, whatever they are locked or reserved for, in units of the instrument. ${SCOPE}`,
    }),
    queued: t.expose('queued', {
      type: 'Decimal',
      description: `What withdrawals ask for that wait already, in units of the instrument. ${SCOPE}`,
    }),
  }),
});

const WithdrawalPreflightRef = builder.objectRef<PreflightReport>('WithdrawalPreflight').implement({
  description: `What would become of a withdrawal asked for now. A forecast: all of it is looked at again when it is asked for, and again before anything is signed. ${SCOPE}`,
  authScopes: { $any: { withdrawals: true, own: true } },
  fields: (t) => ({
    outlook: t.expose('outlook', {
      type: PreflightOutlookEnum,
      description: `All checks together; to a customer without those of the policy and of the funds, which are the exchange’s affair. ${SCOPE}`,
    }),
    checks: t.field({
      type: [PreflightCheckRef],
      description: `Every question, also those that nobody answered, always in the same order. ${SCOPE}`,
      resolve: ({ checks }) => [...checks],
    }),
    verdict: t.field({
      type: PreflightVerdictRef,
      nullable: true,
      description: `What the policy says; null: the request would be refused before. ${SCOPE}`,
      resolve: ({ verdict }) => verdict,
    }),
    transferKind: t.field({
      type: builder.enumType('PreflightTransferKind', {
        description: 'How it would be paid. Since 0.1.',
        values: {
          DIRECT: { description: 'At once.' },
          OFFER: { description: 'As an offer that the receiver has to accept.' },
        } as const,
      }),
      nullable: true,
      description: `As the token’s registry says; null: it did not. ${SCOPE}`,
      resolve: ({ transferKind }) => transferKind,
    }),
    preapproval: t.field({
      type: PreflightPreapprovalRef,
      nullable: true,
      description: `Null: there is none, none was found out, or the instrument knows none; the check says which. ${SCOPE}`,
      resolve: ({ preapproval }) => preapproval,
    }),
    fee: t.expose('fee', {
      type: 'Decimal',
      nullable: true,
      description: `What the customer pays beside the amount, in units of the instrument; null: not known. ${SCOPE}`,
    }),
    returnFee: t.expose('returnFee', {
      type: 'Decimal',
      nullable: true,
      description: `What is kept from the customer of an offer that comes back, at most the amount, in units of the instrument; null: not known. ${SCOPE}`,
    }),
    funds: t.field({
      type: [PreflightFundsRef],
      description: `Per treasury party of this network, the one that would pay first; empty: it is not known which. ${SCOPE}`,
      resolve: ({ funds }) => [...funds],
    }),
    recordTime: t.expose('recordTime', {
      type: 'RecordTime',
      nullable: true,
      description: `The ledger’s history is known up to it, at the treasury that would pay; null: none is. ${SCOPE}`,
    }),
    target: t.expose('target', {
      type: 'RecordTime',
      nullable: true,
      description: `The last record time at which an attempt that opened now could pay; null: none could open. ${SCOPE}`,
    }),
  }),
});

const WithdrawalPreflightInput = builder.inputType('WithdrawalPreflightInput', {
  description: 'What would be asked of `createWithdrawal`. Since 0.1.',
  fields: (t) => ({
    account: t.string({ required: true, description: 'The customer’s account that would be debited.' }),
    treasuryParty: t.string({
      description: 'Party id of the treasury that would pay. Null: the fullest that has enough.',
    }),
    instrumentAdmin: t.string({ required: true, description: 'Party id of the instrument’s admin.' }),
    instrumentId: t.string({ required: true, description: 'The id the admin gave it, e.g. `Amulet`.' }),
    receiver: t.string({ required: true, description: 'Party id of who would be paid.' }),
    amount: t.field({ type: 'Decimal', required: true, description: 'In units of the instrument.' }),
    memo: t.string({ description: 'What the receiver asked for as reason.' }),
  }),
});

builder.queryField('withdrawalPreflight', (t) =>
  t.field({
    type: WithdrawalPreflightRef,
    description:
      'Looks ahead at a withdrawal without asking for it: nothing is stored, reserved or signed. It asks the token’s registry, Scan and the participant as well, each for three seconds at most; who does not answer is `UNKNOWN` and the rest stands. An installation asks others only so often: beyond that they are `UNKNOWN` with `PREFLIGHT_RATE_LIMITED`. `WITHDRAWALS_OFF`: this installation does not pay out. Scope: `withdrawals`. Since 0.1.',
    authScopes: { $any: { withdrawals: true, own: true } },
    args: {
      input: t.arg({ type: WithdrawalPreflightInput, required: true, description: 'Who would be paid what.' }),
    },
    resolve: async (_root, { input }, { preflight, principal }) => {
      const { account, treasuryParty, instrumentAdmin, instrumentId, receiver, amount, memo } = input;
      // To a customer every account but his own is one that there is not.
      if (principal.reach.kind === 'ACCOUNT' && account !== principal.reach.owner) {
        throw apiError('FORBIDDEN', 'Your principal may look ahead for its own account alone.');
      }
      if (preflight === null) throw apiError('WITHDRAWALS_OFF', new WithdrawalsOffError().message);
      return await preflight.look(
        storable({
          client: principal.name,
          account,
          // Which treasury pays is no customer’s business.
          treasuryParty: principal.reach.kind === 'ACCOUNT' ? null : (treasuryParty ?? null),
          instrument: { admin: instrumentAdmin, id: instrumentId },
          receiver,
          amount,
          memo: memo ?? null,
          isForCustomer: principal.reach.kind === 'ACCOUNT',
        }),
      );
    },
  }),
);

/** What PostgreSQL could not even be asked for stands for a name that nobody has: the look ahead then refuses it by its own rules. */
function storable(request: PreflightRequest): PreflightRequest {
  const { treasuryParty, instrument } = request;
  return {
    ...request,
    treasuryParty: treasuryParty === null || isStorableText(treasuryParty) ? treasuryParty : '',
    instrument: isStorableText(instrument.admin) && isStorableText(instrument.id) ? instrument : { admin: '', id: '' },
  };
}
