/** The Ledger API over real sockets: streams, look-ups, errors with their details, cancellation and backpressure. */
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { GetLedgerEndRequest, StateServiceClient } from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import {
  GetUpdatesRequest,
  type GetUpdatesResponse,
  UpdateServiceClient,
} from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { ErrorInfo } from '../../src/gen/google/rpc/error_details.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';
import { type Simnet, startSimnet } from '../../src/simnet/simnet.ts';
import { formatFor, silentLogger } from './harness.ts';

let simnet: Simnet;
let updates: UpdateServiceClient;
let state: StateServiceClient;

beforeAll(async () => {
  simnet = await startSimnet({ seed: 'grpc', clock: systemClock, random: createSeededRandom(2), logger: silentLogger });
  const address = simnet.participants[0]?.grpcAddress ?? '';
  updates = new UpdateServiceClient(address, credentials.createInsecure());
  state = new StateServiceClient(address, credentials.createInsecure());
});

afterAll(async () => {
  updates.close();
  state.close();
  await simnet.stop();
});

test('an endless stream delivers a transfer made after it was opened', async () => {
  const { network } = simnet;
  const end = await new Promise<bigint>((resolve, reject) =>
    state.getLedgerEnd(GetLedgerEndRequest.fromPartial({}), (error, response) =>
      error ? reject(error) : resolve(response.offset),
    ),
  );
  const call = updates.getUpdates(
    GetUpdatesRequest.fromPartial({ beginExclusive: end, updateFormat: formatFor([network.party('treasury')]) }),
  );
  const first = new Promise<GetUpdatesResponse>((resolve) => call.once('data', resolve));
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const { updateId } = network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1.5',
    memo: 'x',
  });

  const { update } = await first;

  expect(update?.$case === 'transaction' && update.value.updateId).toBe(updateId);
  call.on('error', () => undefined);
  call.cancel();
});

test('begin after the ledger end is refused with Canton details', async () => {
  const call = updates.getUpdates(
    GetUpdatesRequest.fromPartial({
      beginExclusive: 1_000_000n,
      updateFormat: formatFor([simnet.network.party('treasury')]),
    }),
  );
  const error = await new Promise<ServiceError>((resolve) => call.once('error', (e) => resolve(e as ServiceError)));
  call.on('data', () => undefined);
  expect(error.code).toBe(status.OUT_OF_RANGE);
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  const details = Status.decode(bytes as Buffer);
  expect(ErrorInfo.decode(details.details[0]?.value ?? new Uint8Array()).reason).toBe('OFFSET_AFTER_LEDGER_END');
});
