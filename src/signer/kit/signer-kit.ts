/**
 * What every signer must do, whoever keeps its key, as cases that are run against one: by `sluice signer-check`, and by our own tests. Run it before a new implementation signs anything.
 * The contract in words: `src/custody/signer.ts` and docs/signer-protocol.md.
 */
import { CustodyRefusal } from '../../custody/custody-refusal.ts';
import { PREPARATION_TOLERANCE_MICROS } from '../../custody/intent-metadata.ts';
import type { Signer, SigningRequest, TransferSignature } from '../../custody/signer.ts';
import { verifySignature } from '../../custody/verify-signature.ts';
import type { Clock } from '../../env/clock.ts';
import type { Random } from '../../env/random.ts';
import { parseAmount } from '../../tokens/amount.ts';
import { CHECK_ADMIN, LIMITED_COUNT, LIMITED_INSTRUMENT, OPEN_INSTRUMENT, receiverOf } from './check-transfer.ts';
import {
  expect,
  expectRefused,
  expectSame,
  expectUnavailable,
  outcomeOf,
  refused,
  verify,
} from './kit-expectations.ts';
import { createRequestMaker, type RequestChange, type RequestMaker } from './kit-requests.ts';

/** A signer in the check, and what can be done to it. What is null is not tried, and said to be left out. */
export type KitSubject = {
  readonly signer: Signer;
  readonly clock: Clock;
  readonly random: Random;
  /** Gives it another key; the old one stays registered. */
  readonly rotate: (() => Promise<void>) | null;
  /** Ends it as hard as can be, and starts it again with the same log and key. */
  readonly restart: { stop(): Promise<void>; start(): Promise<void> } | null;
  /** Sends a body as it is to where requests are posted. */
  readonly post: ((body: unknown) => Promise<{ readonly status: number; readonly body: unknown }>) | null;
  /** Sends the request, and is gone before an answer comes. Resolves when the signer may have read it. */
  readonly loseAnswer: ((request: SigningRequest) => Promise<void>) | null;
  /** Whether it has the limit on the instrument of the check. */
  readonly isLimited: boolean;
};

export type KitCase = {
  /** A sentence of which the signer is the subject. */
  readonly name: string;
  /** What it cannot be tried without. */
  readonly needs: readonly ('rotate' | 'restart' | 'post' | 'loseAnswer' | 'isLimited')[];
  /** @throws PermanentError SIGNER_CHECK_FAILED with what was expected; whatever the signer threw. */
  readonly run: (subject: KitSubject) => Promise<void>;
};

export function canRun({ needs }: KitCase, subject: KitSubject): boolean {
  return needs.every((need) => subject[need] !== null && subject[need] !== false);
}

type Scene = KitSubject &
  RequestMaker & {
    readonly attempt: (number: number, inputs: readonly string[], change?: RequestChange) => SigningRequest;
  };

const kitCase = (name: string, needs: KitCase['needs'], act: (scene: Scene) => Promise<void>): KitCase => ({
  name,
  needs,
  run: async (subject) => await act(await sceneOf(subject)),
});

async function sceneOf(subject: KitSubject): Promise<Scene> {
  const { fingerprint } = await subject.signer.currentKey();
  const maker = createRequestMaker(fingerprint, subject);
  const attempt = (number: number, inputs: readonly string[], change: RequestChange = {}): SigningRequest =>
    maker.request({ attempt: number, inputs, ...change });
  return { ...subject, ...maker, attempt };
}

export const SIGNER_KIT: readonly KitCase[] = [
  kitCase('signs what was meant, verifiably', [], async ({ signer, request }) => {
    const asked = request();
    const signature = await signer.sign(asked);
    verifySignature(asked.prepared.nodeHash, signature, [await signer.currentKey()]);
  }),

  kitCase(
    'answers the same request with the same signature, also at once and later',
    [],
    async ({ signer, request }) => {
      const asked = request();
      const [first, ...others] = await Promise.all([1, 2, 3].map(() => signer.sign(asked)));
      others.push(await signer.sign({ ...asked, recordTime: asked.recordTime + 1n }));
      for (const other of others) expectSame(other, first);
    },
  ),

  kitCase('refuses another request under a used id, whatever differs', [], async ({ signer, request }) => {
    const first = request();
    await signer.sign(first);
    const { requestId, intent } = first;
    const others: SigningRequest[] = [
      { ...first, submissionId: `${first.submissionId}-2` },
      { ...first, attempt: 2 },
      { ...first, intent: { ...intent, receiver: receiverOf('stranger') } },
      request({ requestId }),
      { ...first, prepared: { ...first.prepared, scheme: 'V2' } },
    ];
    for (const other of others) await expectRefused(signer, other, 'SIGNING_REQUEST_REUSED');
  }),

  kitCase(
    'refuses a transaction that is not the intent, and remembers nothing of it',
    [],
    async ({ signer, request }) => {
      const honest = request();
      await expectRefused(signer, { ...honest, intent: { ...honest.intent, receiver: receiverOf('stranger') } });
      const preparedOtherwise: RequestChange['preparedFor'][] = [
        { receiver: receiverOf('stranger') },
        { amount: parseAmount('100.5000000001') },
        { instrument: { admin: CHECK_ADMIN, id: 'ANOTHER' } },
        { executeBefore: honest.intent.executeBefore + 1n },
        { maxRecordTime: honest.intent.maxRecordTime + 1n },
        { commandId: 'another' },
        { synchronizerId: `other-${honest.intent.synchronizerId}` },
        { meta: new Map([['another', 'memo']]) },
        { inputs: [] },
      ];
      for (const preparedFor of preparedOtherwise)
        await expectRefused(signer, request({ ...(preparedFor && { preparedFor }) }));
      expectSame((await signer.sign(honest)).hash, honest.prepared.nodeHash);
    },
  ),

  kitCase('refuses what stands in the transaction beside the transfer', [], async ({ signer, request }) => {
    const withoutChange = request({
      tamper: ({ transaction }) => {
        const last = transaction?.nodes.at(-1)?.versionedNode?.value.nodeType;
        if (last?.$case === 'create') last.value.signatories = [receiverOf('stranger')];
      },
    });
    await expectRefused(signer, withoutChange);
    const twoRoots = request({ tamper: ({ transaction }) => void transaction?.roots.push('1') });
    await expectRefused(signer, twoRoots);
    const twoActors = request({
      tamper: ({ metadata }) => void metadata?.submitterInfo?.actAs.push(receiverOf('stranger')),
    });
    await expectRefused(signer, twoActors);
  }),

  kitCase('refuses a hash that is not the transaction’s', [], async ({ signer, request }) => {
    const honest = request();
    const nodeHash = honest.prepared.nodeHash.map((byte) => byte ^ 1);
    await expectRefused(signer, { ...honest, prepared: { ...honest.prepared, nodeHash } }, 'HASH_DIFFERS_FROM_NODE');
    await expectRefused(
      signer,
      { ...honest, prepared: { ...honest.prepared, scheme: 'V2' } },
      'HASH_DIFFERS_FROM_NODE',
    );
  }),

  kitCase('refuses a bare hash and everything else that lacks its story', ['post'], async ({ post, request }) => {
    const { prepared } = request();
    const hash = Buffer.from(prepared.nodeHash).toString('base64');
    const bare: unknown[] = [
      { hash },
      { requestId: 'sluice-check-bare', hash },
      { requestId: 'sluice-check-bare', prepared: { nodeHash: hash, scheme: 'V3' } },
      { requestId: 'sluice-check-bare', prepared: { preparedTransaction: hash, nodeHash: hash, scheme: 'V3' } },
      hash,
      [hash],
      null,
    ];
    for (const body of bare) {
      const answer = await post?.(body);
      const isRefused = answer !== undefined && answer.status >= 400 && answer.status < 500;
      expect(isRefused, `a refusal of ${JSON.stringify(body)}, got ${answer?.status}`);
      const isKept = !JSON.stringify(answer?.body ?? null).includes('"signature"');
      expect(isKept, 'no signature in a refusal');
    }
  }),

  kitCase(
    'refuses an attempt whose target has passed, or whose preparation is old',
    [],
    async ({ signer, request }) => {
      const honest = request();
      const { maxRecordTime } = honest.intent;
      await expectRefused(signer, { ...honest, recordTime: maxRecordTime + 1n }, 'INTENT_TIME');
      const early = honest.recordTime - 2n * PREPARATION_TOLERANCE_MICROS;
      await expectRefused(signer, { ...honest, recordTime: early }, 'INTENT_TIME');
    },
  ),

  kitCase(
    'lets an attempt be tried again with the same inputs and target, not with others',
    [],
    async ({ signer, attempt }) => {
      const first = attempt(1, ['a', 'b']);
      await signer.sign(first);
      await signer.sign(attempt(1, ['a', 'b']));
      await expectRefused(signer, attempt(1, ['a']), 'SIGNING_ATTEMPT_CHANGED');
      await expectRefused(signer, attempt(1, ['b', 'a']), 'SIGNING_ATTEMPT_CHANGED');
      const later = { intent: { maxRecordTime: first.intent.maxRecordTime + 1n } };
      await expectRefused(signer, attempt(1, ['a', 'b'], later), 'SIGNING_ATTEMPT_CHANGED');
    },
  ),

  kitCase('demands an input of every earlier attempt', [], async ({ signer, attempt }) => {
    await signer.sign(attempt(1, ['a', 'b']));
    await expectRefused(signer, attempt(2, ['c', 'd']), 'SIGNING_INPUT_NOT_KEPT');
    await signer.sign(attempt(2, ['b', 'c']));
    // An input of the second, but none of the first.
    await expectRefused(signer, attempt(3, ['c', 'd']), 'SIGNING_INPUT_NOT_KEPT');
    await signer.sign(attempt(3, ['b', 'd']));
  }),

  kitCase('lets go of an attempt one of whose inputs is gone elsewhere', [], async ({ signer, attempt, input }) => {
    await signer.sign(attempt(1, ['a', 'b']));
    const elsewhere = (name: string): RequestChange => ({ inputsSpentElsewhere: [input(name)] });
    await expectRefused(signer, attempt(2, ['c', 'd'], elsewhere('c')), 'SIGNING_INPUT_NOT_KEPT');
    await signer.sign(attempt(2, ['c', 'd'], elsewhere('a')));
  }),

  kitCase(
    'goes by what the request tells of attempts that its log does not know',
    [],
    async ({ signer, attempt, input }) => {
      const told = (earlier: number): RequestChange => ({
        earlierAttempts: [{ attempt: earlier, inputs: [input('a')] }],
      });
      await expectRefused(signer, attempt(2, ['b'], told(1)), 'SIGNING_INPUT_NOT_KEPT');
      await expectRefused(signer, attempt(1, ['b'], told(1)), 'SIGNING_ATTEMPT_CHANGED');
      await signer.sign(attempt(2, ['a', 'b'], told(1)));
    },
  ),

  kitCase('does not go by the request where its own log knows better', [], async ({ signer, attempt }) => {
    await signer.sign(attempt(1, ['a']));
    await expectRefused(signer, attempt(2, ['b'], { earlierAttempts: [] }), 'SIGNING_INPUT_NOT_KEPT');
  }),

  kitCase('refuses an earlier attempt once there is a later one', [], async ({ signer, attempt }) => {
    await signer.sign(attempt(1, ['a']));
    await signer.sign(attempt(2, ['a']));
    await expectRefused(signer, attempt(1, ['a']), 'SIGNING_ATTEMPT_CHANGED');
  }),

  kitCase('refuses to pay anything else under the same submission', [], async ({ signer, attempt }) => {
    await signer.sign(attempt(1, ['a']));
    const changes: RequestChange['intent'][] = [
      { receiver: receiverOf('stranger') },
      { amount: parseAmount('50') },
      { meta: new Map([['sluice-check', 'another memo']]) },
    ];
    for (const intent of changes) {
      await expectRefused(signer, attempt(2, ['a'], { ...(intent && { intent }) }), 'SIGNING_SUBMISSION_CHANGED');
    }
  }),

  kitCase('keeps submissions apart', [], async ({ signer, attempt, submissionId }) => {
    await signer.sign(attempt(1, ['a']));
    await signer.sign(attempt(1, ['b'], { submissionId: `${submissionId}-2` }));
  }),

  kitCase('signs at most one of two conflicting attempts that arrive together', [], async ({ signer, attempt }) => {
    const both = [attempt(2, ['a']), attempt(3, ['b'])];
    const outcomes = await Promise.all(both.map((asked) => outcomeOf(signer, asked)));
    expect(outcomes.filter((outcome) => outcome === 'signed').length === 1, `one signature, got ${outcomes}`);
  }),

  kitCase('is unavailable in a way that may be retried: slow, then asked again', [], async ({ signer, request }) => {
    const asked = request();
    await expectUnavailable(signer, asked, AbortSignal.abort());
    const [hasty, patient] = [new AbortController(), request()];
    const pending = signer.sign(patient, hasty.signal).catch((error: unknown) => error);
    hasty.abort();
    const outcome = await pending;
    expect(!(outcome instanceof CustodyRefusal), 'no refusal of who hung up');
    expectSame((await signer.sign(asked)).hash, asked.prepared.nodeHash);
    expectSame((await signer.sign(patient)).hash, patient.prepared.nodeHash);
  }),

  kitCase('gives a lost answer again: the same signature', ['loseAnswer'], async ({ signer, loseAnswer, request }) => {
    const asked = request();
    await loseAnswer?.(asked);
    const first = await signer.sign(asked);
    verifySignature(asked.prepared.nodeHash, first, [await signer.currentKey()]);
    expectSame(await signer.sign(asked), first);
    await expectRefused(signer, request({ requestId: asked.requestId }), 'SIGNING_REQUEST_REUSED');
  }),

  kitCase(
    'is down, and remembers everything when it is up again',
    ['restart'],
    async ({ signer, restart, attempt }) => {
      const asked = attempt(1, ['a', 'b']);
      const before = await signer.sign(asked);
      await restart?.stop();
      try {
        await expectUnavailable(signer, attempt(1, ['a', 'b']));
      } finally {
        await restart?.start();
      }
      expectSame(await signer.sign(asked), before);
      await expectRefused(signer, attempt(1, ['a', 'b'], { requestId: asked.requestId }), 'SIGNING_REQUEST_REUSED');
      await expectRefused(signer, attempt(2, ['c']), 'SIGNING_INPUT_NOT_KEPT');
      await expectRefused(signer, attempt(1, ['a']), 'SIGNING_ATTEMPT_CHANGED');
    },
  ),

  kitCase(
    'shows another fingerprint after a rotation, signs with the new key, and repeats what it signed before',
    ['rotate'],
    async ({ signer, rotate, request }) => {
      const before = await signer.currentKey();
      const asked = request();
      const old = await signer.sign(asked);
      await rotate?.();
      const after = await signer.currentKey();
      // A try of the same attempt, whose first signature the ledger no longer takes.
      const again = request();
      const fresh = await signer.sign(again);
      expect(after.fingerprint !== before.fingerprint, 'another fingerprint');
      verifySignature(again.prepared.nodeHash, fresh, [after]);
      expectSame(await signer.sign(asked), old);
      expect(
        (await outcomeOf({ sign: async () => verify(fresh, [before]) }, again)) === 'SIGNATURE_INVALID',
        'no signature of the old key',
      );
    },
  ),

  kitCase('makes signatures that no altered one passes for', [], async ({ signer, request }) => {
    const signature = await signer.sign(request());
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
      const isCaught = refused(() => verifySignature(signature.hash, altered, keys));
      expect(isCaught, 'an altered signature does not verify');
    }
  }),

  kitCase(
    'refuses more than its own limits allow, whatever it is told',
    ['isLimited'],
    async ({ signer, attempt, submissionId, random }) => {
      // A receiver of its own, so that the check can be run again within the hour.
      const intent = {
        instrument: { admin: CHECK_ADMIN, id: LIMITED_INSTRUMENT },
        receiver: receiverOf(random.uuid()),
      };
      const payout = (number: number): RequestChange => ({ intent, submissionId: `${submissionId}-${number}` });
      for (let number = 1; number <= LIMITED_COUNT; number += 1) {
        await signer.sign(attempt(1, [`in-${number}`], payout(number)));
        // A further try and attempt of the same payout are not counted.
        await signer.sign(attempt(1, [`in-${number}`], payout(number)));
        await signer.sign(attempt(2, [`in-${number}`, 'more'], payout(number)));
      }
      await expectRefused(signer, attempt(1, ['over'], payout(LIMITED_COUNT + 1)), 'SIGNING_LIMIT');
      // That an input went elsewhere is only said: who pays once more under the same submission is counted.
      const again: RequestChange = {
        ...payout(1),
        inputsSpentElsewhere: [attempt(1, ['in-1']).intent].flatMap((first) =>
          'inputs' in first ? first.inputs.map(({ contractId }) => contractId) : [],
        ),
      };
      await expectRefused(signer, attempt(3, ['fresh'], again), 'SIGNING_LIMIT');
      const elsewhere = {
        ...payout(LIMITED_COUNT + 2),
        intent: { ...intent, instrument: { admin: CHECK_ADMIN, id: OPEN_INSTRUMENT } },
      };
      await signer.sign(attempt(1, ['other'], elsewhere));
    },
  ),
];
