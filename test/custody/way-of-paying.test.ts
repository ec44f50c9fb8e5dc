/** A receiver's preapproval comes and goes: the way a transfer is made may change from one try to the next, what it pays and spends may not. And whose rules hold where nobody said whose code moves the instrument. */
import { describe, expect, it } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { archiveOf, check, copyOf, created, insert, outcome, sampleOf } from './attack.ts';
import { refusalOfAsync } from './refusal-of.ts';
import type { Sample } from './sample-transfers.ts';
import { requestFor } from './signer-contract.ts';

describe('another way of paying', () => {
  const direct = sampleOf('Canton Coin, direct');
  const offer = sampleOf('Canton Coin, offer');
  const newSigner = () => createLocalSigner({ privateKey: ed25519PrivateKey(new Uint8Array(32).fill(5)) });

  it('E11: an offer is signed after a direct transfer of the same inputs, in the same attempt and in a later one', async () => {
    const signer = newSigner();
    await signer.sign(requestFor(direct, { requestId: 'one' }));

    await signer.sign(requestFor(offer, { requestId: 'two' }));
    await signer.sign(requestFor(offer, { requestId: 'three', attempt: 2 }));
  });

  it('E11: the other way round, too', async () => {
    const signer = newSigner();
    await signer.sign(requestFor(offer, { requestId: 'one' }));

    await signer.sign(requestFor(direct, { requestId: 'two', attempt: 2 }));
  });

  it('E11: not with other inputs', async () => {
    const signer = newSigner();
    const earlierAttempts = [{ attempt: 1, inputs: ['00aa'] }];

    expect(
      await refusalOfAsync(() => signer.sign(requestFor(offer, { requestId: 'two', attempt: 2, earlierAttempts }))),
    ).toBe('SIGNING_INPUT_NOT_KEPT');
  });

  it('E11: what was prepared as one is not signed as the other', () => {
    const as = (sample: Sample, kind: 'DIRECT' | 'OFFER'): string => outcome(sample, { intent: { kind } });

    expect(as(direct, 'OFFER')).toBe('INTENT_RESULT');
    expect(as(offer, 'DIRECT')).toBe('INTENT_RESULT');
  });
});

describe('a token of which nobody said whose code it is', () => {
  const intent = { implementation: 'OTHER' } as const;

  it.each(['utility registry, offer', 'utility registry, direct', 'Canton Coin, direct'])(
    'is judged by its factory where that is known: %s',
    (name) => {
      expect(check(sampleOf(name), { intent }).areAmountsProven).toBe(true);
    },
  );

  it('is judged by authority alone where it is not', () => {
    expect(check(sampleOf('unknown registry, direct')).areAmountsProven).toBe(false);
  });

  it('Z14: a node beyond the known ones is refused, as where it was said', () => {
    const sample = sampleOf('utility registry, offer');
    const change = (prepared: PreparedTransaction): void => {
      const extra = copyOf(prepared, 'change', 'extra');
      insert(prepared, 'TransferFactory_Transfer', created(extra));
      insert(prepared, 'TransferFactory_Transfer', archiveOf(prepared, extra));
      insert(prepared, 'TransferFactory_Transfer', created(copyOf(prepared, 'change', 'more')));
    };
    const said = outcome(sample, { change });

    expect(said).toMatch(/^INTENT_/);
    expect(outcome(sample, { change, intent })).toBe(said);
  });

  it('Z15: the name of a known factory that the admin did not sign is no reason to believe it', () => {
    const sample = sampleOf('utility registry, direct by preapproval');

    expect(outcome(sample, { intent })).toBe('INTENT_AUTHORITY');
  });
});
