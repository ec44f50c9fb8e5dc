import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { ErrorInfo } from '../gen/google/rpc/error_details.ts';
import { Status } from '../gen/google/rpc/status.ts';
import { ledgerErrorOf } from './ledger-error.ts';

function serviceError(details: Buffer, code: status = status.ABORTED): ServiceError {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', details);
  return Object.assign(new Error('refused'), { code, details: 'said \0 so', metadata });
}

function withReason(reason: string, code?: status): ServiceError {
  const info = ErrorInfo.encode(ErrorInfo.fromPartial({ reason })).finish();
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value: info }];
  return serviceError(Buffer.from(Status.encode(Status.fromPartial({ details })).finish()), code);
}

test('Canton’s own code is the code', () => {
  const error = ledgerErrorOf(withReason('CONTRACT_NOT_FOUND'), 'Prepare');
  expect(error).toMatchObject({ code: 'CONTRACT_NOT_FOUND', retryable: true });
});

test.each(['', 'no code', 'lower', 'NUL\0', 'A'.repeat(1_000)])(
  'what is no code of anybody’s is not stored as one: %j',
  (reason) => {
    const error = ledgerErrorOf(withReason(reason), 'Prepare');
    expect(error).toMatchObject({ code: 'GRPC_ABORTED', message: 'Prepare: said \uFFFD so' });
  },
);

test('details that are no protobuf leave the status', () => {
  expect(ledgerErrorOf(serviceError(Buffer.from([0xff, 0xff, 0xff])), 'Prepare')).toMatchObject({
    code: 'GRPC_ABORTED',
  });
});

test.each([status.OUT_OF_RANGE, status.ABORTED, status.UNAVAILABLE])(
  'A13: a node that went back behind our offset, or forgot what we need, is not waited out, whatever status it says so with: %i',
  (code) => {
    for (const reason of ['OFFSET_AFTER_LEDGER_END', 'PARTICIPANT_PRUNED_DATA_ACCESSED'])
      expect(ledgerErrorOf(withReason(reason, code), 'GetUpdates')).toMatchObject({ code: reason, retryable: false });
  },
);
