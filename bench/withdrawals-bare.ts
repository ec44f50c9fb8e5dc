/** The limit: prepare, sign, execute over gRPC, so many at once, and nothing else. One context for all, no check of what is signed, no database, nobody who looks whether it happened. */
import { sign } from 'node:crypto';
import { TRANSFER_CHOICE, transferArgument } from '../src/custody/transfer-argument.ts';
import type { TransferIntent } from '../src/custody/transfer-intent.ts';
import { type Micros, millisToMicros } from '../src/env/clock.ts';
import { createSubmitter } from '../src/ledger/submission-client.ts';
import type { TransferFactoryContext } from '../src/scan/registry-client.ts';
import { amountOf, parseAmount } from '../src/tokens/amount.ts';
import { interfaceReference, TRANSFER_FACTORY_V1 } from '../src/tokens/standard.ts';
import { wallMicros } from './statistics.ts';
import type { PaymentNetwork } from './withdrawals-network.ts';
import type { PaymentKey } from './withdrawals-service.ts';

const TTL_MS = 120_000;

/** @returns payments a second. */
export async function payBare(
  network: PaymentNetwork,
  key: PaymentKey,
  context: TransferFactoryContext,
  holdings: readonly string[],
  depth: number,
): Promise<number> {
  const submitter = createSubmitter({ url: network.url });
  const queue = [...holdings];
  const pay = async (contractId: string, number: number): Promise<void> => {
    const maxRecordTime: Micros = wallMicros() + millisToMicros(TTL_MS);
    const intent: TransferIntent = {
      kind: 'DIRECT',
      implementation: 'SPLICE_AMULET',
      sender: network.treasury,
      receiver: network.receiver,
      instrument: network.instrument,
      amount: parseAmount('5'),
      meta: new Map([['splice.lfdecentralizedtrust.org/reason', `bare-${number}`]]),
      requestedAt: wallMicros() - millisToMicros(60_000),
      executeBefore: maxRecordTime + millisToMicros(TTL_MS),
      inputs: [{ contractId, amount: amountOf(10n) }],
      factory: context.factoryId,
      choiceContext: context.choiceContext,
      commandId: `bare-${contractId}`,
      synchronizerId: network.synchronizerId,
      physicalSynchronizerId: null,
      maxRecordTime,
    };
    const prepared = await submitter.prepare({
      userId: 'bench',
      commandId: intent.commandId,
      actAs: network.treasury,
      synchronizerId: network.synchronizerId,
      contractId: context.factoryId,
      interfaceId: interfaceReference(TRANSFER_FACTORY_V1),
      choice: TRANSFER_CHOICE,
      argument: transferArgument(intent),
      disclosedContracts: context.disclosedContracts,
      maxRecordTime,
    });
    await submitter.execute({
      userId: 'bench',
      submissionId: `bare-${contractId}`,
      party: network.treasury,
      preparedTransaction: prepared.preparedTransaction,
      scheme: prepared.scheme,
      signature: {
        format: 'CONCAT',
        algorithm: 'ED25519',
        signedBy: key.fingerprint,
        signature: sign(null, prepared.nodeHash, key.privateKey),
      },
    });
  };
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: depth }, async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) await pay(next, queue.length);
    }),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  submitter.close();
  return holdings.length / seconds;
}
