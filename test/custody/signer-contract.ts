/** The contract of signers as tests: the kit that `sluice signer-check` runs, and what only a signer in this process can be asked. */
import { describe, expect, it } from 'vitest';
import type { Signer, SigningRequest } from '../../src/custody/signer.ts';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import { verifySignature } from '../../src/custody/verify-signature.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { canRun, type KitSubject, SIGNER_KIT } from '../../src/signer/kit/signer-kit.ts';
import { refusalOfAsync } from './refusal-of.ts';
import { directSample, SAMPLES, type Sample } from './sample-transfers.ts';

export type SignerUnderTest = Partial<KitSubject> & { readonly signer: Signer };

/** The request a service would send for `sample`. */
export function requestFor(
  sample: Sample,
  { change, ...overrides }: Partial<SigningRequest> & { change?: (prepared: PreparedTransaction) => void } = {},
): SigningRequest {
  const prepared = sample.prepared();
  change?.(prepared);
  return {
    requestId: 'request-1',
    submissionId: 'submission-1',
    attempt: 1,
    earlierAttempts: [],
    inputsSpentElsewhere: [],
    intent: sample.intent,
    prepared: {
      preparedTransaction: PreparedTransaction.encode(prepared).finish(),
      scheme: sample.scheme,
      nodeHash: preparedTransactionHash(prepared, sample.scheme),
    },
    recordTime: sample.recordTime,
    ...overrides,
  };
}

/** @param create a signer for each test, and what can be done to it; ended by `onTestFinished` of its maker. */
export function describeSigner(name: string, create: () => Promise<SignerUnderTest>): void {
  const subjectOf = async (): Promise<KitSubject> => ({
    clock: systemClock,
    random: systemRandom,
    rotate: null,
    restart: null,
    post: null,
    loseAnswer: null,
    isLimited: false,
    ...(await create()),
  });

  describe(`the contract of a signer: ${name}`, () => {
    it.each(SIGNER_KIT)('$name', async (kitCase) => {
      const subject = await subjectOf();
      // What it cannot do is no case of its own: the signers below leave out what their headings say.
      if (canRun(kitCase, subject)) await kitCase.run(subject);
      else expect(kitCase.needs.some((need) => !subject[need])).toBe(true);
    });
  });
}

/** For signers that have no clock of their own: the samples stand at a fixed time. */
export function describeSamples(name: string, create: () => Signer): void {
  describe(`what a registry prepares: ${name}`, () => {
    it.each(SAMPLES)('is signed when it was meant, verifiably: $name', async (sample) => {
      const signer = create();
      const request = requestFor(sample);

      const signature = await signer.sign(request);

      verifySignature(request.prepared.nodeHash, signature, [await signer.currentKey()]);
      expect(signature.hash).toEqual(request.prepared.nodeHash);
    });

    it('Z17: is not signed as a bare hash, nor without all of its story', async () => {
      const honest = requestFor(directSample());
      const bare: unknown[] = [
        { requestId: 'request-1', hash: honest.prepared.nodeHash },
        { ...honest, intent: undefined },
        { ...honest, prepared: { nodeHash: honest.prepared.nodeHash, scheme: 'V3' } },
        { ...honest, requestId: '' },
        { ...honest, attempt: 0 },
        { ...honest, earlierAttempts: undefined },
      ];

      for (const request of bare) {
        const outcome = await refusalOfAsync(() => create().sign(request as SigningRequest));
        expect(outcome).toBe('SIGNING_REQUEST_INVALID');
      }
    });

    it('is not signed under a scheme that nobody knows', async () => {
      const honest = requestFor(directSample());
      const prepared = { ...honest.prepared, scheme: 'V4' as 'V3' };

      expect(await refusalOfAsync(() => create().sign({ ...honest, prepared }))).toBe('HASH_SCHEME_UNSUPPORTED');
    });
  });
}
