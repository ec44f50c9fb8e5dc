/** The generated messages against bytes written by hand: numbers, 64-bit types and unknown fields are those of the real Ledger API. */
import { expect, test } from 'vitest';
import { Event } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import {
  ExecuteSubmissionRequest,
  PreparedTransaction,
  PrepareSubmissionResponse,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { Transaction } from '../../src/gen/com/daml/ledger/api/v2/transaction.ts';
import { GetUpdatesRequest, UpdateServiceService } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('LF Int is zig-zag encoded and exact to both ends of 64 bits', () => {
  const cases: [bigint, string][] = [
    [-1n, '1801'],
    [1n, '1802'],
    [2n ** 53n + 1n, '18 8280808080808020'],
    [2n ** 63n - 1n, '18feffffffffffffffff01'],
    [-(2n ** 63n), '18ffffffffffffffffff01'],
  ];
  for (const [int64, hex] of cases) {
    const value: Value = { sum: { $case: 'int64', value: int64 } };
    expect(hexOf(Value.encode(value).finish())).toBe(hex.replaceAll(' ', ''));
    expect(Value.decode(bytesOf(hex)).sum).toEqual({ $case: 'int64', value: int64 });
  }
});

test('LF Time is eight fixed little-endian bytes, negative times included', () => {
  for (const [micros, hex] of [
    [2n ** 53n + 1n, '29 0100000000002000'],
    [-1n, '29 ffffffffffffffff'],
  ] as const) {
    expect(hexOf(Value.encode({ sum: { $case: 'timestamp', value: micros } }).finish())).toBe(hex.replaceAll(' ', ''));
    expect(Value.decode(bytesOf(hex)).sum).toEqual({ $case: 'timestamp', value: micros });
  }
});

test('offsets are plain int64 beyond 2^53', () => {
  const decoded = Transaction.decode(bytesOf('30 8180808080808010'));
  expect(decoded.offset).toBe(2n ** 53n + 1n);
  expect(hexOf(Transaction.encode(decoded).finish())).toBe('308180808080808010');
});

test('a transaction written by hand is read field by field', () => {
  // update_id=1 "u", events=5 { created=1 { node_id=2: 7, contract_id=3 "c", package_name=13 "p", acs_delta=14 } },
  // synchronizer_id=7 "s", record_time=9 { seconds=1: 3, nanos=2: 4000 }, external_transaction_hash=10 "h", paid_traffic_cost=11: 5
  const bytes = bytesOf('0a0175 2a0c 0a0a 1007 1a0163 6a0170 7001 3a0173 4a05 0803 10a01f 520168 5805');
  const transaction = Transaction.decode(bytes);

  expect(transaction.updateId).toBe('u');
  expect(transaction.synchronizerId).toBe('s');
  expect(transaction.recordTime).toMatchObject({ seconds: 3n, nanos: 4_000 });
  expect(transaction.externalTransactionHash).toEqual(Uint8Array.from([0x68]));
  expect(transaction.paidTrafficCost).toBe(5n);
  expect(transaction.events[0]?.event).toMatchObject({
    $case: 'created',
    value: { nodeId: 7, contractId: 'c', packageName: 'p', acsDelta: true },
  });
  expect(hexOf(Transaction.encode(transaction).finish())).toBe(hexOf(bytes));
});

test('an exercise written by hand is read field by field', () => {
  // exercised=3 { choice=6 "C", consuming=9, last_descendant_node_id=11: 12, acs_delta=15 }
  const event = Event.decode(bytesOf('1a09 320143 4801 580c 7801'));
  expect(event.event).toMatchObject({
    $case: 'exercised',
    value: { choice: 'C', consuming: true, lastDescendantNodeId: 12, acsDelta: true },
  });
});

test('presence of an optional end is told from its absence', () => {
  expect(GetUpdatesRequest.decode(bytesOf('0805')).endInclusive).toBeUndefined();
  expect(GetUpdatesRequest.decode(bytesOf('0805 1000')).endInclusive).toBe(0n);
  expect(
    hexOf(GetUpdatesRequest.encode(GetUpdatesRequest.fromPartial({ beginExclusive: 5n, endInclusive: 0n })).finish()),
  ).toBe('08051000');
});

test('fields of a newer node survive decode and encode, at the top and nested', () => {
  // Field 99 (varint 1) on the transaction, and field 98 (bytes "x") on its event's created event.
  const bytes = bytesOf('0a0175 2a08 0a06 1007 92060178 980601');
  const transaction = Transaction.decode(bytes);

  expect(transaction.updateId).toBe('u');
  expect(hexOf(Transaction.encode(transaction).finish())).toBe(hexOf(bytes));
});

test('a prepared transaction passes through as the bytes it came in', () => {
  // An unknown field inside the prepared transaction: decoding the response must not touch it.
  const inner = bytesOf('1200 9a0602abcd');
  const response = PrepareSubmissionResponse.decode(Uint8Array.from([0x0a, inner.length, ...inner]));
  const request = ExecuteSubmissionRequest.encode(
    ExecuteSubmissionRequest.fromPartial({ preparedTransaction: response.preparedTransaction }),
  ).finish();

  expect(hexOf(request)).toBe(`0a${inner.length.toString(16).padStart(2, '0')}${hexOf(inner)}`);
  expect(PreparedTransaction.decode(response.preparedTransaction).metadata).toBeDefined();
});

test('service paths and the error model are those of the real network', () => {
  expect(UpdateServiceService.getUpdates.path).toBe('/com.daml.ledger.api.v2.UpdateService/GetUpdates');
  expect(UpdateServiceService.getUpdates.responseStream).toBe(true);
  expect(Status.decode(bytesOf('0809 120178')).message).toBe('x');
});
