/** A signer that does not answer keeps what it was asked to sign, and nothing else: neither what serves the treasury nor one withdrawal of many holds up the others. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isOfferIntent } from '../../src/custody/intent.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Signer, SigningRequest } from '../../src/custody/signer.ts';
import { eventually } from '../support/eventually.ts';
import { type OfferScene, startOfferScene } from '../support/offers.ts';
import { SIGNER_SEED } from '../support/payouts.ts';

const LIMITS = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 3,
  triesMax: 6,
  tryHoldMs: 60_000,
};
const PATIENCE = { deadlineMs: 20_000 };

let scene: OfferScene;
let answers: PromiseWithResolvers<void>;
let asked: number;

beforeEach(async () => {
  scene = await startOfferScene('hung-signer');
  answers = Promise.withResolvers();
  asked = 0;
});
afterEach(async () => {
  answers.resolve();
  await scene.stop();
});

/** Answers what `isHung` says only when the test ends. */
function hungSigner(isHung: (request: SigningRequest) => boolean): Signer {
  const signer = createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) });
  return {
    ...signer,
    sign: async (request, signal) => {
      if (isHung(request)) {
        asked += 1;
        await answers.promise;
      }
      return await signer.sign(request, signal);
    },
  };
}

const isAsked = () => eventually(async () => expect(asked).toBeGreaterThan(0), PATIENCE);

test('S1: a transfer to ourselves that nobody signs holds up no withdrawal', async () => {
  scene.fund('amulet', 1, '1000');
  scene.fund('amulet', 1, '30');
  scene.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  const instrument = await eventually(() => scene.instrumentKey('amulet'), PATIENCE);
  await sql`
    INSERT INTO pool_target (treasury_id, instrument_id, holdings_count, holding_amount, inputs_max, changed_at, changed_by)
    VALUES (${scene.treasury.id}, ${instrument}, 4, 20, 50, 0, 'test')`.execute(scene.db);
  scene.start({
    limits: LIMITS,
    signer: hungSigner(({ intent }) => !isOfferIntent(intent) && intent.sender === intent.receiver),
  });
  await isAsked();

  await scene.ask('one', 'amulet');
  await scene.become({ COMPLETED: 1 }, PATIENCE.deadlineMs);
  expect(scene.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe('5.0000000000');
});

test('S1: the return of an offer that nobody signs holds up no withdrawal', async () => {
  await scene.decide('usd', {});
  scene.fund('usd', 1, '30');
  scene.fund('amulet', 1, '30');
  scene.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  scene.start({ limits: LIMITS, signer: hungSigner(({ intent }) => isOfferIntent(intent)) });
  const offered = await scene.ask('offered', 'usd');
  await scene.become({ OFFERED: 1 });
  await scene.cancel(offered);
  await isAsked();

  await scene.ask('one', 'amulet');
  await scene.become({ OFFERED: 1, COMPLETED: 1 }, PATIENCE.deadlineMs);
});

test('S1: a withdrawal that nobody signs holds up none of many others', async () => {
  const count = 135; // More than are tried before one looks at what else there is.
  scene.fund('amulet', count + 1, '5');
  scene.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  await eventually(() => scene.instrumentKey('amulet'), PATIENCE);
  let first: string | null = null;
  const signer = hungSigner(({ submissionId }) => submissionId === `sb_${first?.slice(3)}`);
  first = await scene.ask('first', 'amulet');
  for (let index = 1; index <= count; index += 1) await scene.ask(`other-${index}`, 'amulet');
  scene.start({ limits: LIMITS, signer });
  await scene.become({ IN_FLIGHT: 1, COMPLETED: count });
  expect(asked).toBe(1);
});
