/**
 * What the owner of the key allows, whatever the service was told: for which parties, which instruments, and how much of each in an hour or a day, per receiver or in all. Counted by the signer's own
 * clock and log, where nobody who breaks into the service can reach.
 *
 * A submission counts once, when it is first signed for: further attempts that share an input with every earlier one pay nothing more. What moves no money to somebody else (a merge, the end of an offer) is not counted.
 */
import { CustodyRefusal, demand } from '../custody/custody-refusal.ts';
import { isOfferIntent } from '../custody/intent.ts';
import type { SignedRequest, SigningGuard } from '../custody/logged-signer.ts';
import { sidesOf } from '../custody/offer-intent.ts';
import { SignerUnavailable } from '../custody/signer.ts';
import type { Payout } from '../custody/signing-rules.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { formatAmount } from '../tokens/amount.ts';
import { CHECK_SYNCHRONIZER } from './kit/check-transfer.ts';
import type { Limit, SignerRules } from './signer-rules.ts';

type Paid = {
  readonly at: Micros;
  readonly admin: string;
  readonly id: string;
  readonly receiver: string;
  readonly amount: bigint;
};

/** One minute either way: what clocks of servers differ at most. */
const CLOCK_SKEW_MICROS = millisToMicros(60_000);
const SECOND_MICROS = 1_000_000n;
const WINDOW_MICROS_MAX = 86_400n * SECOND_MICROS; // A day: the longest window there is.
const PAID_MAX = 1_000_000; // A day's payouts; some hundred bytes each.

/**
 * @param past what the log has, in its order.
 * @param signsFrom before this nothing is signed: something that a lost log knew of may still commit.
 */
export function createSigningGuard({
  rules,
  past,
  signsFrom,
  nowMicros,
}: {
  readonly rules: SignerRules;
  readonly past: Iterable<SignedRequest>;
  readonly signsFrom: Micros;
  readonly nowMicros: () => Micros;
}): SigningGuard {
  let paid: Paid[] = [];
  let latest = 0n;
  for (const { isCounted, payout, signedAt } of past) {
    if (signedAt > latest) latest = signedAt;
    if (isCounted) paid.push(paidBy(payout, signedAt));
  }

  return {
    admit: ({ intent }, isExclusive) => {
      const now = nowMicros();
      if (now < signsFrom) {
        throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'The log is new: what a lost one knew of may still commit.', {
          signsFrom,
        });
      }
      const isPlace = (intent.synchronizerId === CHECK_SYNCHRONIZER) === rules.isCheck;
      demand(
        isPlace,
        'SIGNING_POLICY',
        'The check and the service have signers of their own.',
        'intent.synchronizerId',
      );
      const us = isOfferIntent(intent) ? sidesOf(intent).us : intent.sender;
      const isOurs = rules.parties === null || rules.parties.includes(us);
      demand(isOurs, 'SIGNING_POLICY', 'Not a party that this key signs for.', 'intent.sender', { party: us });
      const { instrument, implementation } = intent;
      const isKnown = rules.instruments?.some(
        (known) =>
          known.admin === instrument.admin && known.id === instrument.id && known.implementation === implementation,
      );
      demand(isKnown ?? true, 'SIGNING_POLICY', 'Not an instrument that is signed for.', 'intent.instrument');
      const isOnTime = intent.maxRecordTime >= now - CLOCK_SKEW_MICROS;
      demand(isOnTime, 'INTENT_TIME', 'The target has passed by the signer’s own clock.', 'intent.maxRecordTime');
      const isNear = intent.maxRecordTime <= now + rules.targetSecondsMax * SECOND_MICROS;
      demand(isNear, 'SIGNING_POLICY', 'The target is further away than is signed for.', 'intent.maxRecordTime');
      if (!isPayment(intent)) return false;

      // A clock that was set back opens no window twice.
      const countedAt = now > latest ? now : latest;
      const fresh = paidBy(intent, countedAt);
      const limits = rules.limits.filter((limit) => isAbout(limit, fresh));
      demand(
        limits.length > 0 || rules.limits.length === 0,
        'SIGNING_POLICY',
        'No limit names it.',
        'intent.instrument',
      );
      if (isExclusive) return false;
      paid = paid.filter(({ at }) => at > countedAt - WINDOW_MICROS_MAX);
      for (const limit of limits) demandWithin(limit, fresh, paid);
      demand(paid.length < PAID_MAX, 'SIGNING_LIMIT', 'More payouts than can be counted.', 'limits');
      paid.push(fresh);
      latest = countedAt;
      return true;
    },
  };
}

function demandWithin(limit: Limit, fresh: Paid, paid: readonly Paid[]): void {
  const isSameReceiver = ({ receiver }: Paid): boolean => limit.per === 'INSTRUMENT' || receiver === fresh.receiver;
  const before = paid.filter(
    (entry) =>
      entry.at > fresh.at - limit.windowMicros &&
      entry.admin === fresh.admin &&
      entry.id === fresh.id &&
      isSameReceiver(entry),
  );
  const sum = before.reduce((total, { amount }) => total + amount, fresh.amount);
  const isWithin = (limit.count === null || before.length < limit.count) && (limit.sum === null || sum <= limit.sum);
  if (isWithin) return;
  throw new CustodyRefusal('SIGNING_LIMIT', `More than the signer allows: ${limit.shown}.`, 'intent.amount', {
    count: before.length + 1,
    sum: formatAmount(sum),
  });
}

const isAbout = ({ instrument }: Limit, { admin, id }: Paid): boolean =>
  instrument === null || (instrument.admin === admin && instrument.id === id);

const isPayment = ({ kind, sender, receiver }: Pick<Payout, 'kind' | 'sender' | 'receiver'>): boolean =>
  (kind === 'DIRECT' || kind === 'OFFER') && sender !== receiver;

function paidBy(
  { instrument, receiver, amount }: Pick<Payout, 'instrument' | 'receiver' | 'amount'>,
  at: Micros,
): Paid {
  return { at, admin: instrument.admin, id: instrument.id, receiver, amount };
}
