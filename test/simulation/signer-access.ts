/**
 * The signer as a process reaches it, and what goes wrong with signers. What it is asked to sign is looked at here: only what is committed, exactly as it is committed, and nothing that was asked for
 * under a halt.
 */
import type pg from 'pg';
import { CustodyRefusal } from '../../src/custody/custody-refusal.ts';
import { inputsOf, isOfferIntent } from '../../src/custody/intent.ts';
import { createLocalSigner, ed25519PrivateKey, type LocalSigner } from '../../src/custody/local-signer.ts';
import { type Signer, SignerUnavailable, type SigningRequest } from '../../src/custody/signer.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Halts } from './halts.ts';
import type { Marks } from './marks.ts';
import type { Policies } from './policies.ts';
import type { Life } from './process.ts';
import { must } from './violation.ts';

/** The one signer of a schedule, whoever asks it. */
export type SimulatedSigner = {
  accessFor(life: Life): Signer;
  /** In hexadecimal: given instead of signatures. */
  readonly wrongSignatures: ReadonlySet<string>;
};

export type SimulatedSignerOptions = {
  readonly network: Network;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
  readonly observer: pg.Client;
  readonly halts: Halts;
  /** Whether a hash was written down in a history of the database that is gone. */
  readonly wasWritten: (hash: Uint8Array) => boolean;
  readonly policies: Policies;
};

const LATE_MS_MAX = 30_000; // Well past every target.
const KEYS_MAX = 3;

const keyOf = (index: number) => ed25519PrivateKey(new Uint8Array(32).fill(7 + index));

/** Gives the treasury its key. */
export async function createSimulatedSigner(options: SimulatedSignerOptions): Promise<SimulatedSigner> {
  const { network, faults, dice, marks } = options;
  const wrongSignatures = new Set<string>();
  let keys = 1;
  const register = async (): Promise<string> => {
    const { publicKey } = await createLocalSigner({ privateKey: keyOf(keys - 1) }).currentKey();
    return network.registerKey(TREASURY, publicKey.export({ type: 'spki', format: 'der' }));
  };
  let fingerprint = await register();
  // Some signers remember what they signed. Others forget everything between two requests: what only their log would catch, the automation must not need.
  const remembering: LocalSigner | null = dice.chance(0.5) ? createLocalSigner({ privateKey: keyOf(0) }) : null;
  const signer = (): LocalSigner => remembering ?? createLocalSigner({ privateKey: keyOf(keys - 1) });

  const rotate = async (): Promise<void> => {
    if (keys >= KEYS_MAX) return;
    keys += 1;
    remembering?.rotate(keyOf(keys - 1));
    const old = fingerprint;
    fingerprint = await register();
    network.revokeKey(TREASURY, old);
    marks.add('key rotated');
  };
  const sign = async (request: SigningRequest) => {
    await demandFaithful(options, request);
    if (faults.strikes('keyRotated')) await rotate();
    if (faults.strikes('signerRefuses')) {
      marks.add('signer refuses');
      throw new CustodyRefusal('SIGNING_LIMIT', 'Too much for today.', 'amount');
    }
    const signature = await signer().sign(request);
    marks.add(faults.isOver() ? 'signed in calm' : 'signed in trouble');
    if (faults.strikes('signatureLost')) {
      marks.add('signed, and the signature lost');
      throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'The answer was lost.');
    }
    if (!faults.strikes('signatureWrong')) return signature;
    marks.add('signature wrong');
    const wrong = Uint8Array.from(signature.signature, (byte, index) => (index === 5 ? byte ^ 1 : byte));
    wrongSignatures.add(Buffer.from(wrong).toString('hex'));
    return { ...signature, signature: wrong };
  };

  return {
    wrongSignatures,
    accessFor: (life) => ({
      currentKey: async () => await signer().currentKey(),
      sign: async (request) => {
        if (faults.strikes('signerDown')) {
          marks.add('signer down');
          await life.clock.sleep(dice.integer(1, 1_000));
          throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'Nobody answers.');
        }
        const signature = await life.calls.call('Sign', async () => await sign(request));
        if (faults.strikes('signatureLate')) {
          marks.add('signature late');
          await life.clock.sleep(Math.round(dice.logUniform(100, LATE_MS_MAX)));
        }
        return signature;
      },
    }),
  };
}

type Written = {
  readonly target: string;
  readonly inputs: readonly string[];
  readonly id: string | null;
  readonly key: string | null;
  readonly purpose: string;
  readonly receiver: string | null;
  readonly amount: string | null;
  readonly isRequested: boolean;
  readonly state: string;
};

/** What is to be signed is what is committed: the withdrawal's receiver and amount, the attempt's inputs and last record time. */
async function demandFaithful(
  { observer, halts, marks, network, wasWritten, policies }: SimulatedSignerOptions,
  { submissionId, attempt, intent, prepared }: SigningRequest,
): Promise<void> {
  const hash = Buffer.from(prepared.nodeHash);
  const { rows } = await observer.query<Written>({
    name: 'signing',
    text: `SELECT a.target_record_time::text AS target, w.id, w.idempotency_key AS key, s.purpose, w.receiver, w.amount::text AS amount, a.sign_requested_at IS NOT NULL AS "isRequested", a.state,
                  ARRAY(SELECT r.contract_id FROM reservation r WHERE r.submission_id = a.submission_id AND r.number = a.number ORDER BY 1) AS inputs
           FROM attempt a JOIN submission s ON s.id = a.submission_id LEFT JOIN withdrawal w ON w.id = s.withdrawal_id
           WHERE a.submission_id = $1 AND a.number = $2
             AND EXISTS (SELECT FROM signed_hash h WHERE h.submission_id = a.submission_id AND h.number = a.number AND h.hash = $3)`,
    values: [submissionId, attempt, hash],
  });
  const [written] = rows;
  if (written === undefined && wasWritten(hash)) {
    marks.add('signed what a lost database had written down');
    return;
  }
  must(written?.isRequested === true, 'nothing is signed before it is written down', { submissionId, attempt });
  must(!halts.forbid(hash.toString('hex')), 'nothing is signed that was asked for under a halt', { submissionId });
  must(BigInt(written.target) === intent.maxRecordTime, 'what is signed ends when its attempt ends', {
    written: written.target,
    signed: intent.maxRecordTime,
  });
  const inputs = [...inputsOf(intent)].sort();
  must(
    inputs.length > 0 && inputs.join() === [...written.inputs].sort().join(),
    'what is signed spends what is reserved',
    { written: written.inputs, signed: inputs },
  );
  if (written.purpose === 'SELF_TRANSFER') {
    const own = network.party(TREASURY);
    must(
      !isOfferIntent(intent) && intent.sender === own && intent.receiver === own,
      'what moves from ourselves to ourselves stays ours',
      { submissionId },
    );
    marks.add('transfer to ourselves signed');
  }
  const { id, key, receiver, amount } = written;
  if (id === null || key === null || receiver === null || amount === null) return;
  // Who takes an offer back pays nobody.
  if (!isOfferIntent(intent)) policies.demandApproved({ id, key, amount });
  must(
    !isOfferIntent(intent) && receiver === intent.receiver && parseAmount(amount) === intent.amount,
    'what is signed pays what was asked for',
    { written },
  );
}
