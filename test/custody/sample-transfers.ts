/** Transfers as the known registries prepare them, each with the intent it answers: small, but node for node in the shape seen on MainNet. */
import { readFileSync } from 'node:fs';
import { decodePrepared } from '../../src/custody/prepared-transaction.ts';
import type { HashScheme } from '../../src/custody/transaction-hash.ts';
import type { TransferIntent } from '../../src/custody/transfer-intent.ts';
import type { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { META_REASON } from '../../src/tokens/standard.ts';
import { amuletDirect, amuletIntent, amuletOffer } from './sample-amulet.ts';
import {
  otherTransfer,
  utilityDirect,
  utilityIntent,
  utilityOffer,
  utilityPreapproval,
  utilityPreapproved,
} from './sample-utility.ts';
import { COMMON, CUSTOMER, RECORD_TIME, TREASURY } from './sample-values.ts';

export type Sample = {
  readonly name: string;
  readonly intent: TransferIntent;
  readonly scheme: HashScheme;
  /** The last ingested record time. */
  readonly recordTime: bigint;
  /** A fresh copy at every call. */
  readonly prepared: () => PreparedTransaction;
};

/** A real one, captured from a test network: Canton Coin 0.1.14 through a preapproval, protocol 34. It asked for no last record time. */
function recorded(): Sample {
  const vectors: { name: string; preparedTransactionBase64: string }[] = JSON.parse(
    readFileSync(new URL('../fixtures/hash/hash-vectors.json', import.meta.url), 'utf8'),
  );
  const { preparedTransactionBase64 } = vectors.find(({ name }) => name.includes('externallySigned'))!;
  const admin = 'DSO::1220539c9fc09e744b23a73a602171ed0c6af695c9e613d9d3440090dd6681e45f4e';
  const maxRecordTime = 1_759_128_428_153_604n;
  const original = (): PreparedTransaction => {
    const prepared = decodePrepared(Buffer.from(preparedTransactionBase64, 'base64'));
    prepared.metadata!.maxRecordTime = maxRecordTime;
    return prepared;
  };
  const { metadata: { synchronizerId, submitterInfo, preparationTime } = original().metadata!, transaction } = {
    ...original(),
  };
  const root = transaction!.nodes.find(({ nodeId }) => nodeId === '0')!.versionedNode!.value.nodeType!;
  if (root.$case !== 'exercise') throw new Error('The recorded root is an exercise.');
  const argument = fieldsOf(root.value.chosenValue);
  const context = fieldsOf(fieldsOf(argument['extraArgs'])['context'])['values']?.sum;
  return {
    name: 'Canton Coin 0.1.14, recorded',
    intent: {
      ...COMMON,
      kind: 'DIRECT',
      implementation: 'SPLICE_AMULET',
      sender: 'alice::12203692446d04a07863545a604b475812a21af063c0e79f030db45648aadd609060',
      receiver: 'treasury::122056cb4384f4292b7ba5494e6b7f222ed47f68594663a32763d51531d136d63981',
      instrument: { admin, id: 'Amulet' },
      amount: parseAmount('100'),
      meta: new Map([[META_REASON, 'f0246353-ede9-4ef5-8d0f-6e3e85c3db0a']]),
      requestedAt: 1_759_128_228_153_604n,
      executeBefore: 1_759_214_628_153_604n,
      inputs: [
        {
          contractId:
            '00e664cb7c3f906440865c435dfa62d82097a4e5f4b22d3c7aad363203cf0e3380ca111220d87120d3a5a42523c1504a7b5db16d6e23b8af889946db808417c90480a4a181',
          amount: parseAmount('110'),
        },
      ],
      factory: root.value.contractId,
      choiceContext: new Map(
        context?.$case === 'textMap' ? context.value.entries.map((entry) => [entry.key, entry.value!]) : [],
      ),
      commandId: submitterInfo!.commandId,
      synchronizerId,
      physicalSynchronizerId: synchronizerId, // Protocol 34 signs the logical one.
      maxRecordTime,
    },
    scheme: 'V2',
    recordTime: preparationTime - 1_000_000n,
    prepared: original,
  };
}

function fieldsOf(value: Value | undefined): Readonly<Record<string, Value>> {
  if (value?.sum?.$case !== 'record') throw new Error('Not a record.');
  return Object.fromEntries(value.sum.value.fields.map((entry) => [entry.label, entry.value!]));
}

const sample = (
  name: string,
  intent: TransferIntent,
  build: (intent: TransferIntent) => PreparedTransaction,
): Sample => ({ name, intent, scheme: 'V3', recordTime: RECORD_TIME, prepared: () => build(intent) });

/** A direct transfer of the utility registry with changes to its intent. */
export function directSample(change: Partial<TransferIntent> = {}): Sample {
  return sample('utility registry, direct', utilityIntent('DIRECT', change), utilityDirect);
}

export const SAMPLES: readonly Sample[] = [
  sample('Canton Coin, direct', amuletIntent('DIRECT'), amuletDirect),
  sample('Canton Coin, offer', amuletIntent('OFFER'), amuletOffer),
  sample('utility registry, direct', utilityIntent('DIRECT'), utilityDirect),
  sample(
    'utility registry, direct by preapproval',
    utilityIntent('DIRECT', { factory: utilityPreapproval(CUSTOMER).contractId }),
    utilityPreapproved,
  ),
  sample('utility registry, offer', utilityIntent('OFFER'), utilityOffer),
  sample('utility registry, merge', utilityIntent('DIRECT', { receiver: TREASURY }), utilityDirect),
  sample('unknown registry, direct', utilityIntent('DIRECT', { implementation: 'OTHER' }), otherTransfer),
  sample('unknown registry, offer', utilityIntent('OFFER', { implementation: 'OTHER' }), otherTransfer),
  recorded(),
];
