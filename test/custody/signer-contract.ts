/** What every signer must do, whoever keeps its key. Run it against a new implementation before that one signs anything. */
import { describe, expect, it } from 'vitest';
import { PREPARATION_TOLERANCE_MICROS } from '../../src/custody/intent-metadata.ts';
import {
  type Signer,
  SignerUnavailable,
  type SigningRequest,
  type TransferSignature,
} from '../../src/custody/signer.ts';
import { type HashScheme, preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import type { TransferIntent } from '../../src/custody/transfer-intent.ts';
import { verifySignature } from '../../src/custody/verify-signature.ts';
import { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { refusalOfAsync } from './refusal-of.ts';
import { directSample, SAMPLES, type Sample } from './sample-transfers.ts';
import { old as holdingId, STRANGER } from './sample-values.ts';

export type SignerUnderTest = {
  readonly signer: Signer;
  /** Gives the party another key; the old one stays registered. */
  readonly rotate: () => Promise<void>;
};

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

const inputs = (...names: string[]): TransferIntent['inputs'] =>
  names.map((name) => ({ contractId: holdingId(name), amount: parseAmount('101') }));
const attempt = (number: number, ...names: string[]): SigningRequest =>
  requestFor(directSample({ inputs: inputs(...names) }), { requestId: `attempt-${number}-${names}`, attempt: number });

/** @param create a fresh signer with an empty log, for each test. */
export function describeSigner(name: string, create: () => Promise<SignerUnderTest>): void {
  describe(`the contract of a signer: ${name}`, () => {
    const refusal = async (first: readonly SigningRequest[], last: SigningRequest): Promise<string> => {
      const { signer } = await create();
      for (const request of first) await signer.sign(request);
      return await refusalOfAsync(() => signer.sign(last));
    };

    it.each(SAMPLES)('signs what was meant, verifiably: $name', async (sample) => {
      const { signer } = await create();
      const request = requestFor(sample);

      const signature = await signer.sign(request);

      verifySignature(request.prepared.nodeHash, signature, [await signer.currentKey()]);
      expect(signature.hash).toEqual(request.prepared.nodeHash);
    });

    it('answers the same request with the same signature, also at once and after the key changed', async () => {
      const { signer, rotate } = await create();
      const request = requestFor(directSample());

      const [first, ...others] = await Promise.all([1, 2, 3].map(() => signer.sign(request)));
      await rotate();
      others.push(await signer.sign({ ...request, recordTime: request.recordTime + 1n }));

      for (const other of others) expect(other).toEqual(first);
    });

    it('shows a new fingerprint after a rotation, and signs with the new key', async () => {
      const { signer, rotate } = await create();
      const before = await signer.currentKey();
      const old = await signer.sign(requestFor(directSample()));

      await rotate();
      const after = await signer.currentKey();
      const request = requestFor(directSample(), { requestId: 'request-2' });
      const fresh = await signer.sign(request);

      expect(after.fingerprint).not.toBe(before.fingerprint);
      expect([old.signedBy, fresh.signedBy]).toEqual([before.fingerprint, after.fingerprint]);
      verifySignature(request.prepared.nodeHash, fresh, [before, after]);
      expect(await refusalOfAsync(async () => verifySignature(fresh.hash, fresh, [before]))).toBe('SIGNATURE_INVALID');
    });

    it('refuses another request under a used id, whatever differs', async () => {
      const first = requestFor(directSample());
      const others: SigningRequest[] = [
        { ...first, submissionId: 'submission-2' },
        { ...first, attempt: 2 },
        { ...first, intent: { ...first.intent, receiver: STRANGER } },
        requestFor(directSample(), {
          change: ({ metadata }) => Object.assign(metadata!, { transactionUuid: 'another' }),
        }),
        requestFor(directSample(), { prepared: { ...first.prepared, scheme: 'V2' } }),
      ];

      for (const other of others) expect(await refusal([first], other)).toBe('SIGNING_REQUEST_REUSED');
    });

    it('refuses a transaction that is not the intent, and remembers nothing of it', async () => {
      const { signer } = await create();
      const honest = requestFor(directSample());
      const altered = { ...honest, intent: { ...honest.intent, receiver: STRANGER } };

      expect(await refusalOfAsync(() => signer.sign(altered))).toBe('INTENT_ARGUMENT');
      expect((await signer.sign(honest)).hash).toEqual(honest.prepared.nodeHash);
    });

    it('refuses a hash that is not the transaction’s', async () => {
      const honest = requestFor(directSample());
      const nodeHash = honest.prepared.nodeHash.map((byte) => byte ^ 1);

      expect(await refusal([], { ...honest, prepared: { ...honest.prepared, nodeHash } })).toBe(
        'HASH_DIFFERS_FROM_NODE',
      );
    });

    it('refuses the wrong scheme', async () => {
      const honest = requestFor(directSample());
      const withScheme = (scheme: string): SigningRequest => ({
        ...honest,
        prepared: { ...honest.prepared, scheme: scheme as HashScheme },
      });

      expect(await refusal([], withScheme('V2'))).toBe('HASH_DIFFERS_FROM_NODE');
      expect(await refusal([], withScheme('V4'))).toBe('HASH_SCHEME_UNSUPPORTED');
    });

    it('refuses a bare hash and everything else that lacks its story', async () => {
      const honest = requestFor(directSample());
      const bare: unknown[] = [
        { requestId: 'request-1', hash: honest.prepared.nodeHash },
        { ...honest, intent: undefined },
        { ...honest, prepared: { nodeHash: honest.prepared.nodeHash, scheme: 'V3' } },
        { ...honest, requestId: '' },
        { ...honest, attempt: 0 },
        { ...honest, earlierAttempts: undefined },
      ];

      for (const request of bare) expect(await refusal([], request as SigningRequest)).toBe('SIGNING_REQUEST_INVALID');
    });

    it('refuses an attempt whose target has passed, or whose preparation is old', async () => {
      const honest = requestFor(directSample());
      const { maxRecordTime } = honest.intent;

      expect(await refusal([], { ...honest, recordTime: maxRecordTime + 1n })).toBe('INTENT_TIME');
      expect(await refusal([], { ...honest, recordTime: honest.recordTime - 2n * PREPARATION_TOLERANCE_MICROS })).toBe(
        'INTENT_TIME',
      );
    });

    describe('over the attempts of a submission', () => {
      it('lets an attempt be tried again with the same inputs and target, not with others', async () => {
        const first = attempt(1, 'a', 'b');
        const again = { ...first, requestId: 'again' };
        const later = directSample({ inputs: inputs('a', 'b'), maxRecordTime: first.intent.maxRecordTime + 1n });

        expect(await refusal([first], again)).toBe('signed');
        expect(await refusal([first], { ...attempt(1, 'a'), requestId: 'fewer' })).toBe('SIGNING_ATTEMPT_CHANGED');
        expect(await refusal([first], { ...attempt(1, 'b', 'a'), requestId: 'order' })).toBe('SIGNING_ATTEMPT_CHANGED');
        expect(await refusal([first], requestFor(later, { requestId: 'later' }))).toBe('SIGNING_ATTEMPT_CHANGED');
      });

      it('demands an input of every earlier attempt', async () => {
        expect(await refusal([attempt(1, 'a', 'b')], attempt(2, 'b', 'c'))).toBe('signed');
        expect(await refusal([attempt(1, 'a', 'b')], attempt(2, 'c', 'd'))).toBe('SIGNING_INPUT_NOT_KEPT');
        // An input of the second, but none of the first.
        const [first, second] = [attempt(1, 'a', 'b'), attempt(2, 'b', 'c')];
        expect(await refusal([first, second], attempt(3, 'c', 'd'))).toBe('SIGNING_INPUT_NOT_KEPT');
        expect(await refusal([first, second], attempt(3, 'b', 'd'))).toBe('signed');
      });

      it('lets go of an attempt one of whose inputs is gone elsewhere', async () => {
        const second = { ...attempt(2, 'c', 'd'), inputsSpentElsewhere: [holdingId('a')] };

        expect(await refusal([attempt(1, 'a', 'b')], second)).toBe('signed');
        expect(await refusal([attempt(1, 'a', 'b')], { ...second, inputsSpentElsewhere: [holdingId('c')] })).toBe(
          'SIGNING_INPUT_NOT_KEPT',
        );
      });

      it('goes by what the request tells of attempts that its log does not know', async () => {
        const earlier = { attempt: 1, inputs: [holdingId('a')] };
        const tell = (request: SigningRequest): SigningRequest => ({ ...request, earlierAttempts: [earlier] });

        expect(await refusal([], tell(attempt(2, 'b')))).toBe('SIGNING_INPUT_NOT_KEPT');
        expect(await refusal([], tell(attempt(2, 'a', 'b')))).toBe('signed');
        expect(await refusal([], tell(attempt(1, 'b')))).toBe('SIGNING_ATTEMPT_CHANGED');
      });

      it('does not go by the request where its own log knows better', async () => {
        expect(await refusal([attempt(1, 'a')], { ...attempt(2, 'b'), earlierAttempts: [] })).toBe(
          'SIGNING_INPUT_NOT_KEPT',
        );
      });

      it('refuses an earlier attempt once there is a later one', async () => {
        expect(await refusal([attempt(1, 'a'), attempt(2, 'a')], { ...attempt(1, 'a'), requestId: 'late' })).toBe(
          'SIGNING_ATTEMPT_CHANGED',
        );
      });

      it('refuses to pay anything else under the same submission', async () => {
        const changes: Partial<TransferIntent>[] = [
          { receiver: STRANGER },
          { amount: parseAmount('50') },
          { meta: new Map([['sluice/withdrawal', 'wd_other']]) },
        ];
        for (const change of changes) {
          const request = requestFor(directSample(change), { requestId: 'other', attempt: 2 });
          expect(await refusal([requestFor(directSample())], request)).toBe('SIGNING_SUBMISSION_CHANGED');
        }
      });

      it('keeps submissions apart', async () => {
        expect(await refusal([attempt(1, 'a')], { ...attempt(1, 'b'), submissionId: 'submission-2' })).toBe('signed');
      });

      it('signs at most one of two conflicting attempts that arrive together', async () => {
        const { signer } = await create();
        const outcomes = await Promise.all(
          [attempt(2, 'a'), attempt(3, 'b')].map((request) => refusalOfAsync(() => signer.sign(request))),
        );

        expect(outcomes.filter((outcome) => outcome === 'signed')).toHaveLength(1);
      });
    });

    it('says that it is unavailable in a way that may be retried', async () => {
      const { signer } = await create();
      const request = requestFor(directSample());

      await expect(signer.sign(request, AbortSignal.abort())).rejects.toBeInstanceOf(SignerUnavailable);
      expect((await signer.sign(request)).hash).toEqual(request.prepared.nodeHash);
    });

    it('makes signatures that no altered one passes for', async () => {
      const { signer } = await create();
      const signature = await signer.sign(requestFor(directSample()));
      const keys = [await signer.currentKey()];
      const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, index) => (index === 5 ? byte ^ 1 : byte));
      const alterations: TransferSignature[] = [
        { ...signature, signature: flipped(signature.signature) },
        { ...signature, signature: signature.signature.subarray(1) },
        { ...signature, hash: flipped(signature.hash) },
        { ...signature, signedBy: `1220${'00'.repeat(32)}` },
        { ...signature, algorithm: signature.algorithm === 'ED25519' ? 'EC_DSA_SHA_256' : 'ED25519' },
        { ...signature, format: signature.format === 'DER' ? 'CONCAT' : 'DER' },
      ];

      for (const altered of alterations) {
        expect(await refusalOfAsync(async () => verifySignature(signature.hash, altered, keys))).toBe(
          'SIGNATURE_INVALID',
        );
      }
      expect(await refusalOfAsync(async () => verifySignature(flipped(signature.hash), signature, keys))).toBe(
        'SIGNATURE_INVALID',
      );
    });
  });
}
