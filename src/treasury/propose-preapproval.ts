/**
 * Proposes a transfer preapproval of a treasury party to a provider, whose validator accepts it and renews it from then on. Only ever asked for by a person, and only where there is
 * none: what is valid is the provider's to renew, and two at once would be paid for twice.
 *
 * That there are never two proposals takes no memory of ours. The participant shows an open one. One that may still be under way has the same command id, and a participant refuses a
 * command id that it has accepted for at least 30 seconds; ours cannot commit later than 20 seconds after it was prepared.
 * Nothing is spent, so it gets in the way of no payment.
 */
import { createHash } from 'node:crypto';
import { PREPARATION_TOLERANCE_MICROS } from '../custody/intent-metadata.ts';
import type { OnboardingSigner } from '../custody/onboarding-signer.ts';
import { type ProposalIntent, proposalArguments } from '../custody/proposal-check.ts';
import { hashSchemeOf } from '../custody/transaction-hash.ts';
import { type Clock, microsToTimestamp } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Random } from '../env/random.ts';
import {
  HashingSchemeVersion,
  InteractiveSubmissionServiceService,
  PrepareSubmissionRequest,
} from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Channel } from '../ledger/channel.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { submitterOver } from '../ledger/submission-client.ts';
import { lookAtPreapproval, PROPOSAL, type PreapprovalLook } from './preapproval-look.ts';

export type ProposalOutcome =
  /** It is there, and waits for the provider. */
  | { readonly kind: 'PROPOSED' | 'PROPOSED_BEFORE'; readonly contractId: string; readonly provider: string }
  /** There is one already; nothing was done. */
  | { readonly kind: 'VALID'; readonly look: PreapprovalLook }
  /** Executed and not seen: it may not come any more, and may be tried again. */
  | { readonly kind: 'NOT_SEEN' };

const TTL_MICROS = 20_000_000n;
const SEEN_AFTER_MS = 40_000; // The target, and a checkpoint's delay.
const LOOK_EVERY_MS = 500;

/**
 * @param options.call of the participant that `ledger` reads.
 * @throws PermanentError PROPOSALS_UNKNOWN: the participant lacks the package `splice-wallet`. CustodyRefusal. RetryableError and PermanentError of the calls: it may be asked again.
 */
export async function proposePreapproval(options: {
  readonly ledger: Pick<Ledger, 'ledgerEnd' | 'activeContracts'>;
  readonly call: Channel['call'];
  readonly signer: OnboardingSigner;
  readonly party: string;
  readonly provider: string;
  readonly dso: string;
  readonly userId: string;
  readonly synchronizerId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}): Promise<ProposalOutcome> {
  const { ledger, call, signer, party, provider, dso, userId, synchronizerId, clock, random, signal } = options;
  const look = async (): Promise<PreapprovalLook> => await lookAtPreapproval(ledger, { party, admin: dso, signal });
  const before = await look();
  const isValid = before.preapproval !== null && before.preapproval.expiresAt > clock.nowMicros();
  if (isValid) return { kind: 'VALID', look: before };
  if (before.proposal !== null) return { kind: 'PROPOSED_BEFORE', ...before.proposal };
  if (!before.canPropose) {
    throw new PermanentError('PROPOSALS_UNKNOWN', 'The participant does not know the package splice-wallet.', {
      party,
    });
  }

  const now = clock.nowMicros();
  const intent: ProposalIntent = {
    receiver: party,
    provider,
    dso,
    commandId: commandIdOf(party, provider),
    synchronizerId,
    maxRecordTime: now + TTL_MICROS,
  };
  const request = PrepareSubmissionRequest.fromPartial({
    userId,
    commandId: intent.commandId,
    actAs: [party],
    synchronizerId,
    commands: [
      { command: { $case: 'create', value: { templateId: PROPOSAL, createArguments: proposalArguments(intent) } } },
    ],
    maxRecordTime: microsToTimestamp(intent.maxRecordTime),
    hashingSchemeVersion: HashingSchemeVersion.HASHING_SCHEME_VERSION_V3,
  });
  const answer = await call(InteractiveSubmissionServiceService.prepareSubmission, request);
  const prepared = {
    preparedTransaction: answer.preparedTransaction,
    nodeHash: answer.preparedTransactionHash,
    scheme: hashSchemeOf(answer.hashingSchemeVersion),
  };
  // Nothing may have been ingested of a new party yet; the clock is near enough to record time for a window of minutes.
  const window = { recordTime: now, toleranceMicros: PREPARATION_TOLERANCE_MICROS };
  const signature = signer.signProposal(intent, prepared, window);
  await submitterOver(call).execute({
    userId,
    submissionId: random.uuid(),
    party,
    preparedTransaction: prepared.preparedTransaction,
    scheme: prepared.scheme,
    signature,
  });

  const until = clock.nowMicros() + BigInt(SEEN_AFTER_MS) * 1_000n;
  while (!signal.aborted && clock.nowMicros() < until) {
    const { proposal, preapproval } = await look();
    if (proposal !== null) return { kind: 'PROPOSED', ...proposal };
    // The provider may be quicker than we look.
    if (preapproval !== null && preapproval.expiresAt > clock.nowMicros()) return { kind: 'VALID', look: await look() };
    await clock.sleep(LOOK_EVERY_MS, signal);
  }
  return { kind: 'NOT_SEEN' };
}

function commandIdOf(party: string, provider: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([party, provider]))
    .digest('hex');
  return `sluice-preapproval-${digest.slice(0, 40)}`;
}
