/**
 * A transfer as it was meant: everything about it that we decide ourselves. What people and policies approve is a part of this; what is signed
 * must be all of it, and nothing else.
 */
import type { Micros } from '../env/clock.ts';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { type Amount, sumAmounts } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { demand } from './custody-refusal.ts';

/** Whose code moves the instrument, by configuration: it decides which nodes a transfer may have. */
export type RegistryImplementation =
  /** Canton Coin, both generations of package `splice-amulet`. */
  | 'SPLICE_AMULET'
  /** The utility registry (USDCx and others). */
  | 'UTILITY_REGISTRY'
  /** Any other: what its contracts hold cannot be read, only who signed them and who may act. */
  | 'OTHER';

export type IntentInput = {
  readonly contractId: string;
  /** As our own holding table has it. */
  readonly amount: Amount;
};

export type TransferIntent = {
  /** DIRECT: the receiver (or, for a merge, the sender itself) has the amount at once. OFFER: it is locked until the receiver accepts. */
  readonly kind: 'DIRECT' | 'OFFER';
  readonly implementation: RegistryImplementation;
  /** The treasury party: acts alone. */
  readonly sender: string;
  readonly receiver: string;
  readonly instrument: Instrument;
  readonly amount: Amount;
  /** All of `Transfer.meta`: the memo under its key, our own keys, nothing more. */
  readonly meta: ReadonlyMap<string, string>;
  readonly requestedAt: Micros;
  /** Exclusive. */
  readonly executeBefore: Micros;
  /** Exactly these, in this order. Never empty: the registry would choose, and two attempts could then both commit. */
  readonly inputs: readonly IntentInput[];
  /** Contract id of the transfer factory, as the registry named it. */
  readonly factory: string;
  /** `extraArgs.context` as the registry gave it: opaque, but what we sent is what must come back. */
  readonly choiceContext: ReadonlyMap<string, Value>;
  readonly commandId: string;
  /** The logical id, `name::fingerprint`. */
  readonly synchronizerId: string;
  /**
   * What the metadata must say exactly: `name::fingerprint::protocol-serial` from protocol 35 on, the logical id before. `null` accepts any
   * protocol and serial of that synchronizer.
   */
  readonly physicalSynchronizerId: string | null;
  /** The target: the last record time at which it may commit, inclusive. */
  readonly maxRecordTime: Micros;
};

const CONTRACT_ID_PATTERN = /^(?:[0-9a-f]{2})+$/;
const INPUTS_MAX = 100; // What Canton Coin takes; nobody allows more.

/** @throws CustodyRefusal INTENT_INVALID when the intent itself makes no sense: then nothing can be compared with it. */
export function demandSaneIntent(intent: TransferIntent): void {
  const { inputs, sender, receiver, instrument, amount } = intent;
  const check = (condition: boolean, message: string, field: string): void =>
    demand(condition, 'INTENT_INVALID', message, `intent.${field}`);
  const ids = inputs.map(({ contractId }) => contractId);
  check(inputs.length > 0 && inputs.length <= INPUTS_MAX, 'Not between 1 and 100 inputs.', 'inputs');
  check(new Set(ids).size === ids.length, 'An input is named twice.', 'inputs');
  check(
    [...ids, intent.factory].every((id) => CONTRACT_ID_PATTERN.test(id)),
    'Not a contract id.',
    'inputs',
  );
  check(
    inputs.every((input) => input.amount > 0n),
    'An input without amount.',
    'inputs',
  );
  check(amount > 0n, 'Not a positive amount.', 'amount');
  check(sumAmounts(inputs.map((input) => input.amount)) >= amount, 'The inputs do not cover the amount.', 'inputs');
  check(sender !== '' && receiver !== '' && instrument.id !== '', 'A name is missing.', 'sender');
  // Every rule below rests on the admin being somebody else, whose participants confirm the transaction.
  check(instrument.admin !== '' && instrument.admin !== sender, 'The sender is the admin.', 'instrument.admin');
  check(intent.kind === 'DIRECT' || receiver !== sender, 'An offer to oneself.', 'receiver');
  check(intent.requestedAt < intent.executeBefore, 'Ends before it begins.', 'executeBefore');
  check(intent.commandId !== '', 'No command id.', 'commandId');
  check(/^[^:]+::[^:]+$/.test(intent.synchronizerId), 'Not a logical synchronizer id.', 'synchronizerId');
}
