/** The network's own hash against Canton's vectors, and against the client's implementation on transactions the network prepares. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkIntent } from '../../src/custody/intent-check.ts';
import { preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import {
  HashingSchemeVersion,
  PreparedTransaction,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { preparedHash, valueBytes } from '../../src/simnet/submission/prepared-hash.ts';
import { AMULET_PACKAGE_ID } from '../../src/simnet/tokens/amulet-contracts.ts';
import { startNetwork } from './harness.ts';
import { openWallet, transferRequest } from './wallet.ts';

type Vector = { name: string; scheme: 'V2' | 'V3'; preparedTransactionBase64: string; expectedHashBase64: string };
type ValueVector = {
  name: string;
  encodingHex: string;
  wrappedPreparedTransactionBase64: string;
  expectedHashBase64: string;
};
const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../fixtures/hash/${name}`, import.meta.url), 'utf8'));
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const decode = (text: string): PreparedTransaction => PreparedTransaction.decode(Buffer.from(text, 'base64'));

describe("the network's hash of a prepared transaction", () => {
  it.each(read<Vector[]>('hash-vectors.json'))('equals the published one: $name', (vector) => {
    const hash = preparedHash(decode(vector.preparedTransactionBase64), vector.scheme);

    expect(base64(hash)).toBe(vector.expectedHashBase64);
  });

  it.each(read<ValueVector[]>('hash-value-vectors.json'))('equals the published one for the value: $name', (vector) => {
    const prepared = decode(vector.wrappedPreparedTransactionBase64);
    const node = prepared.transaction?.nodes[0]?.versionedNode?.value.nodeType?.value as { argument: Value };

    expect(valueBytes(node.argument).toString('hex')).toBe(vector.encodingHex);
    expect(base64(preparedHash(prepared, 'V2'))).toBe(vector.expectedHashBase64);
  });
});

describe('a transaction that the network prepares', () => {
  const instruments = ['amulet', 'usd', 'note'] as const;
  const cases = instruments.flatMap((instrument) =>
    ['bob', 'carol', 'treasury'].flatMap((receiver) =>
      (['old', 'new'] as const).map((generation) => ({ instrument, receiver, generation })),
    ),
  );

  it.each(cases)('hashes alike on both sides: $instrument to $receiver, $generation packages', async (each) => {
    const { instrument, receiver, generation } = each;
    const { network, clock } = startNetwork();
    const wallet = openWallet(network, 'treasury', []);
    for (const amount of ['5', '7.25']) network.tap({ instrument, owner: 'treasury', amount });
    network.preapprove({ instrument, receiver: 'bob', generation });
    const request = transferRequest(network, wallet, {
      receiver,
      amount: '6.5',
      instrument,
      packages: [AMULET_PACKAGE_ID[generation]],
      now: clock.nowMicros(),
    });

    for (const scheme of ['V2', 'V3'] as const) {
      const response = await network.participant('participant1').api.prepareSubmission({
        ...request,
        hashingSchemeVersion: HashingSchemeVersion[`HASHING_SCHEME_VERSION_${scheme}`],
      });
      const prepared = PreparedTransaction.decode(response.preparedTransaction);

      expect(base64(response.preparedTransactionHash)).toBe(base64(preparedHash(prepared, scheme)));
      expect(base64(response.preparedTransactionHash)).toBe(base64(preparedTransactionHash(prepared, scheme)));
    }
  });

  it.each([
    { instrument: 'amulet', implementation: 'SPLICE_AMULET', receiver: 'bob', kind: 'DIRECT', generation: 'old' },
    { instrument: 'amulet', implementation: 'SPLICE_AMULET', receiver: 'bob', kind: 'DIRECT', generation: 'new' },
    { instrument: 'amulet', implementation: 'SPLICE_AMULET', receiver: 'carol', kind: 'OFFER', generation: 'old' },
    { instrument: 'amulet', implementation: 'SPLICE_AMULET', receiver: 'carol', kind: 'OFFER', generation: 'new' },
    { instrument: 'usd', implementation: 'UTILITY_REGISTRY', receiver: 'bob', kind: 'DIRECT', generation: 'new' },
    { instrument: 'usd', implementation: 'UTILITY_REGISTRY', receiver: 'carol', kind: 'OFFER', generation: 'new' },
    { instrument: 'note', implementation: 'OTHER', receiver: 'bob', kind: 'DIRECT', generation: 'new' },
    { instrument: 'note', implementation: 'OTHER', receiver: 'carol', kind: 'OFFER', generation: 'new' },
  ] as const)('is one that custody signs: $instrument $kind, $generation packages', async (each) => {
    const { instrument, implementation, receiver, kind, generation } = each;
    const { network, clock } = startNetwork();
    const wallet = openWallet(network, 'treasury', []);
    network.tap({ instrument, owner: 'treasury', amount: '9' });
    network.preapprove({ instrument, receiver: 'bob', generation });
    const now = clock.nowMicros();
    const [holding] = holdingsOf(network.ledger.contracts, wallet.party, network.instrument(instrument));
    if (holding === undefined) throw new Error('No holding.');
    const request = transferRequest(network, wallet, {
      receiver,
      amount: '6.5',
      instrument,
      packages: [AMULET_PACKAGE_ID[generation]],
      maxRecordTimeMicros: now + 600_000_000n,
      scheme: HashingSchemeVersion.HASHING_SCHEME_VERSION_V3,
      now,
    });
    const command = request.commands[0]?.command;
    const argument = command?.$case === 'exercise' ? command.value.choiceArgument?.sum : undefined;
    const extra = argument?.$case === 'record' ? argument.value.fields[2]?.value?.sum : undefined;
    const context = extra?.$case === 'record' ? extra.value.fields[0]?.value?.sum : undefined;
    const values = context?.$case === 'record' ? context.value.fields[0]?.value?.sum : undefined;
    const entries = values?.$case === 'textMap' ? values.value.entries : [];

    const response = await network.participant('participant1').api.prepareSubmission(request);

    const checked = checkIntent(
      {
        kind,
        implementation,
        sender: wallet.party,
        receiver: network.party(receiver),
        instrument: network.instrument(instrument),
        amount: 65_000_000_000n as never,
        meta: new Map([['splice.lfdecentralizedtrust.org/reason', 'memo-1']]),
        requestedAt: now - 60_000_000n,
        executeBefore: now + 3_600_000_000n,
        inputs: [{ contractId: holding.contractId, amount: holding.amountUnits as never }],
        factory: command?.$case === 'exercise' ? command.value.contractId : '',
        choiceContext: new Map(entries.map(({ key, value }) => [key, value as Value])),
        commandId: 'command-1',
        synchronizerId: network.synchronizerId,
        physicalSynchronizerId: `${network.synchronizerId}::35-0`,
        maxRecordTime: now + 600_000_000n,
      },
      {
        preparedTransaction: response.preparedTransaction,
        scheme: 'V3',
        nodeHash: response.preparedTransactionHash,
      },
      { recordTime: now, toleranceMicros: 600_000_000n },
    );
    expect(checked.isMaxRecordTimeSigned).toBe(true);
  });
});
