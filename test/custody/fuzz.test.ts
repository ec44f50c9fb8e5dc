/**
 * Goal: whatever a node does to a prepared transaction, it is signed only if it still means the same.
 * Method: seeded damage to the message and to its bytes, twice each: by a node that forgets to claim the hash of what it sends, and by one
 * that lies consistently. SLUICE_FUZZ_CASES sets how many (default 2,000; 100,000 takes some minutes), SLUICE_FUZZ_SEED which.
 */
import { describe, expect, it } from 'vitest';
import { CustodyRefusal } from '../../src/custody/custody-refusal.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import { createSeededRandom, type Random } from '../../src/env/random.ts';
import { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { rounds } from '../support/tier.ts';
import { meaningOf } from './meaning.ts';
import { MUTATIONS, mutateBytes, pick } from './mutations.ts';
import { refusalOfAsync } from './refusal-of.ts';
import { SAMPLES, type Sample } from './sample-transfers.ts';
import { requestFor } from './signer-contract.ts';

const CASES = Number(process.env['SLUICE_FUZZ_CASES'] ?? rounds(500, 10_000));
const SEED = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1);
const MS_PER_CASE = 60; // Generous: a shared machine, two checks and two hashes.

const privateKey = ed25519PrivateKey(createSeededRandom(SEED).bytes(32));
const view = ({ intent }: Sample) => ({ isKnown: intent.implementation !== 'OTHER', receiver: intent.receiver });

/** What stays the same over all cases of a sample. */
const originals = SAMPLES.map((sample) => {
  const request = requestFor(sample);
  const prepared = sample.prepared();
  return { sample, request, signedPart: signedPart(prepared), meaning: meaningOf(prepared, view(sample)) };
});
type Original = (typeof originals)[number];

/** Without what no signature covers: the blobs, which authenticate themselves, and the order in which nodes and seeds are listed. */
function signedPart({ transaction, metadata }: PreparedTransaction): string {
  const inputContracts = metadata!.inputContracts.map((input) => ({ ...input, eventBlob: new Uint8Array() }));
  const byId = (left: { nodeId: string | number }, right: { nodeId: string | number }): number =>
    Number(left.nodeId) - Number(right.nodeId);
  const nodes = transaction!.nodes.toSorted(byId);
  const nodeSeeds = transaction!.nodeSeeds.toSorted(byId);
  const bare = { transaction: { ...transaction!, nodes, nodeSeeds }, metadata: { ...metadata!, inputContracts } };
  return Buffer.from(PreparedTransaction.encode(bare).finish()).toString('base64');
}

type Meaning = ReturnType<typeof meaningOf>;

function expectSameMeaning(found: Meaning, original: Meaning): void {
  const differing = Object.keys(original).filter((key) => JSON.stringify(found[key]) !== JSON.stringify(original[key]));
  expect(differing.map((key) => ({ key, found: found[key], original: original[key] }))).toEqual([]);
}

/** The hash a consistent liar would claim; anything where there is none. */
function claimedHash(bytes: Uint8Array, sample: Sample): Uint8Array {
  try {
    return preparedTransactionHash(PreparedTransaction.decode(bytes), sample.scheme);
  } catch {
    return new Uint8Array(32);
  }
}

async function outcome({ request }: Original, bytes: Uint8Array, nodeHash: Uint8Array): Promise<string> {
  const prepared = { ...request.prepared, preparedTransaction: bytes, nodeHash };
  return await refusalOfAsync(() => createLocalSigner({ privateKey }).sign({ ...request, prepared }));
}

/** Runs one case. @returns how the consistent liar fared. */
async function runCase(original: Original, bytes: Uint8Array): Promise<string> {
  const { sample, request } = original;
  if ((await outcome(original, bytes, request.prepared.nodeHash)) === 'signed') {
    expect(signedPart(PreparedTransaction.decode(bytes)) === original.signedPart).toBe(true);
  }
  const lie = await outcome(original, bytes, claimedHash(bytes, sample));
  if (lie === 'signed') {
    expectSameMeaning(meaningOf(PreparedTransaction.decode(bytes), view(sample)), original.meaning);
  }
  return lie;
}

function tally(): { count(key: string): void; of(key: string): number; readonly keys: readonly string[] } {
  const counts = new Map<string, number>();
  return {
    count: (key) => void counts.set(key, (counts.get(key) ?? 0) + 1),
    of: (key) => counts.get(key) ?? 0,
    get keys() {
      return [...counts.keys()];
    },
  };
}

/** @param damage to the bytes of a sample. Failures name the case, which `SLUICE_FUZZ_SEED` brings back. */
async function fuzz(cases: number, damage: (bytes: Uint8Array, random: Random) => { name: string; bytes: Uint8Array }) {
  const outcomes = tally();
  const random = createSeededRandom(SEED);
  for (let index = 0; index < cases; index += 1) {
    const original = pick(random, originals);
    const { name, bytes } = damage(original.request.prepared.preparedTransaction, random);
    try {
      outcomes.count(await runCase(original, bytes));
    } catch (cause) {
      throw new Error(`Case ${index} of seed ${SEED}: ${original.sample.name}, ${name}.`, { cause });
    }
  }
  return outcomes;
}

describe('a prepared transaction that was tampered with', () => {
  it('is signed as it was prepared', async () => {
    for (const original of originals) {
      expect(await runCase(original, original.request.prepared.preparedTransaction)).toBe('signed');
    }
  });

  it(`Z14: is never signed with another meaning, in ${CASES} changes to the message`, {
    timeout: CASES * MS_PER_CASE + 10_000,
  }, async () => {
    const names = Object.keys(MUTATIONS);
    const outcomes = await fuzz(CASES, (original, random) => {
      const prepared = PreparedTransaction.decode(original);
      const name = pick(random, names);
      MUTATIONS[name]!(prepared, random);
      return { name, bytes: PreparedTransaction.encode(prepared).finish() };
    });

    // The damage reaches every wall, and the check is not just refusing everything.
    expect(outcomes.of('signed')).toBeGreaterThan(0);
    expect(outcomes.of('signed')).toBeLessThan(CASES / 4);
    if (CASES >= 2_000) expect(outcomes.keys.length).toBeGreaterThan(25);
    if (process.env['SLUICE_FUZZ_CASES'] !== undefined) {
      console.table(Object.fromEntries(outcomes.keys.toSorted().map((key) => [key, outcomes.of(key)])));
    }
  });

  it(`Z14: is never signed with another meaning, in ${CASES / 2} changes to the bytes`, {
    timeout: CASES * MS_PER_CASE + 10_000,
  }, async () => {
    const outcomes = await fuzz(Math.ceil(CASES / 2), (original, random) => ({
      name: 'bytes',
      bytes: mutateBytes(original, random),
    }));

    expect(outcomes.of('PREPARED_NOT_DECODABLE')).toBeGreaterThan(0);
    expect(outcomes.of('PREPARED_NOT_CANONICAL')).toBeGreaterThan(0);
  });

  it('is refused with a reason that names the place', async () => {
    const sample = SAMPLES[0]!;
    const request = requestFor(sample, {
      change: ({ metadata }) => Object.assign(metadata!, { maxRecordTime: metadata!.maxRecordTime! + 1n }),
    });
    const refusal = await createLocalSigner({ privateKey })
      .sign(request)
      .catch((error: unknown) => error);

    expect(refusal).toBeInstanceOf(CustodyRefusal);
    expect(refusal).toMatchObject({ code: 'INTENT_TIME', at: 'metadata.maxRecordTime', retryable: false });
  });
});
