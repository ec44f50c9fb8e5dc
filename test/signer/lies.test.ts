/**
 * Goal: a lying node gets no signature over another meaning out of a signer behind its socket either.
 * Method: the damage of test/custody/fuzz.test.ts, consistently hashed, to transfers of the check; every case a submission of its own. SLUICE_FUZZ_SEED brings a failure back.
 */
import { describe, expect, it } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { CHECK_SYNCHRONIZER, receiverOf } from '../../src/signer/kit/check-transfer.ts';
import { createRequestMaker } from '../../src/signer/kit/kit-requests.ts';
import { meaningOf } from '../custody/meaning.ts';
import { MUTATIONS, pick } from '../custody/mutations.ts';
import { refusalOfAsync } from '../custody/refusal-of.ts';
import { signerScene } from './scene.ts';

const CASES = 400;
const SEED = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1);

describe('a signer behind its socket', () => {
  it(`Z14: signs no other meaning in ${CASES} lies of a node`, { timeout: 120_000 }, async () => {
    const scene = signerScene();
    await scene.start();
    const random = createSeededRandom(SEED);
    const { request } = createRequestMaker(scene.keys[0]!.shown.fingerprint, {
      clock: systemClock,
      random: systemRandom,
    });
    const names = Object.keys(MUTATIONS);
    const outcomes = new Map<string, number>();
    for (let index = 0; index < CASES; index += 1) {
      const name = pick(random, names);
      let original: ReturnType<typeof meaningOf> | null = null;
      let asked: ReturnType<typeof request>;
      try {
        asked = request({
          submissionId: `lie-${index}`,
          // Otherwise any serial of the synchronizer would do.
          intent: { physicalSynchronizerId: `${CHECK_SYNCHRONIZER}::35-0` },
          tamper: (prepared) => {
            original = meaningOf(prepared, { isKnown: true, receiver: receiverOf('receiver') });
            MUTATIONS[name]!(prepared, random);
          },
        });
      } catch {
        outcomes.set('NO_HASH', (outcomes.get('NO_HASH') ?? 0) + 1);
        continue; // What has no hash cannot even be claimed to have one.
      }
      const outcome = await refusalOfAsync(() => scene.client.sign(asked));
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (outcome !== 'signed') continue;
      const found = meaningOf(PreparedTransaction.decode(asked.prepared.preparedTransaction), {
        isKnown: true,
        receiver: asked.intent.receiver,
      });
      expect(JSON.stringify(found) === JSON.stringify(original), `case ${index} of seed ${SEED}: ${name}`).toBe(true);
    }

    expect(outcomes.get('signed') ?? 0).toBeGreaterThan(0);
    expect(outcomes.get('signed') ?? 0).toBeLessThan(CASES / 4);
    expect(outcomes.size).toBeGreaterThan(10);
  });
});
