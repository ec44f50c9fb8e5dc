/** The active contracts at any offset that is not pruned: in one stream, continued, in pages, and while pruning overtakes the reader. */
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  GetActiveContractsPageRequest,
  type GetActiveContractsPageResponse,
  GetActiveContractsRequest,
  type GetActiveContractsResponse,
} from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import { detailsOf, drain, refusal, type Served, serve, unary } from './ledger-client.ts';

let served: Served;

beforeEach(async () => {
  served = await serve();
});

afterEach(async () => {
  await served.stop();
});

const eventFormat = () => served.treasuryFormat().includeTransactions?.eventFormat;
const snapshot = (activeAtOffset: bigint, streamContinuationToken?: Uint8Array) =>
  drain<GetActiveContractsResponse>(
    served.state.getActiveContracts(
      GetActiveContractsRequest.fromPartial({
        activeAtOffset,
        eventFormat: eventFormat(),
        streamContinuationToken,
      }),
    ),
  );
const page = (request: Parameters<typeof GetActiveContractsPageRequest.fromPartial>[0]) =>
  unary<GetActiveContractsPageResponse>((callback) =>
    served.state.getActiveContractsPage(
      GetActiveContractsPageRequest.fromPartial({ eventFormat: eventFormat(), ...request }),
      callback,
    ),
  );
const idsOf = (responses: readonly GetActiveContractsResponse[]) =>
  responses.map(({ contractEntry }) =>
    contractEntry?.$case === 'activeContract' ? contractEntry.value.createdEvent?.contractId : undefined,
  );

test('every offset has its own snapshot, whatever happened since, until it is pruned', async () => {
  const seen: { readonly offset: bigint; readonly ids: (string | undefined)[] }[] = [];
  for (let index = 0; index < 4; index += 1) {
    if (index === 2) served.network.merge({ instrument: 'amulet', owner: 'treasury' });
    else served.pay();
    const offset = served.node.ledgerEnd();
    seen.push({ offset, ids: idsOf((await snapshot(offset)).messages) });
  }
  served.node.prune(seen[1]?.offset ?? 0n);

  for (const [index, { offset, ids }] of seen.entries()) {
    const { messages, error } = await snapshot(offset);
    if (index === 0) {
      expect(error?.code).toBe(status.FAILED_PRECONDITION);
      expect(error && detailsOf(error).info.metadata['earliest_offset']).toBe(String(seen[1]?.offset));
    } else expect(idsOf(messages), `at ${offset}`).toEqual(ids);
  }
  expect(new Set(seen.map(({ ids }) => ids.join())).size).toBe(4);
});

test('a large snapshot comes in pages and after a broken stream from where it broke', async () => {
  for (let index = 0; index < 250; index += 1) served.pay('0.1');
  const offset = served.node.ledgerEnd();
  const whole = (await snapshot(offset)).messages;
  served.network.merge({ instrument: 'amulet', owner: 'treasury' });

  const paged: GetActiveContractsResponse[] = [];
  let pageToken: Uint8Array | undefined;
  const sizes: number[] = [];
  do {
    const answer = await page({ activeAtOffset: offset, maxPageSize: 90, pageToken });
    sizes.push(answer.activeContracts.length);
    paged.push(...answer.activeContracts);
    pageToken = answer.nextPageToken;
  } while (pageToken !== undefined && pageToken.length > 0);
  const rest = (await snapshot(offset, whole[99]?.streamContinuationToken)).messages;

  expect(whole.length).toBeGreaterThanOrEqual(250);
  expect(sizes.slice(0, -1).every((size) => size === 90)).toBe(true);
  expect(idsOf(paged)).toEqual(idsOf(whole));
  expect(idsOf(rest)).toEqual(idsOf(whole).slice(100));
});

test('a page is refused for a foreign token, a silly size, and an offset that is not there', async () => {
  const offset = served.node.ledgerEnd();
  served.pay();
  const { nextPageToken } = await page({ activeAtOffset: served.node.ledgerEnd(), maxPageSize: 1 });

  const foreign = await refusal(page({ activeAtOffset: offset, pageToken: nextPageToken }));
  const silly = await refusal(page({ maxPageSize: 0 }));
  const late = await refusal(page({ activeAtOffset: served.node.ledgerEnd() + 1n }));

  expect(detailsOf(foreign).info.reason).toBe('INVALID_PAGE_TOKEN');
  expect(detailsOf(silly).info.reason).toBe('INVALID_FIELD');
  expect(detailsOf(late).info.reason).toBe('OFFSET_AFTER_LEDGER_END');
});

test('a snapshot that pruning overtakes fails instead of leaving contracts out', async () => {
  for (let index = 0; index < 40; index += 1) served.pay('0.1');
  const offset = served.node.ledgerEnd();
  const filter = GetActiveContractsRequest.fromPartial({ activeAtOffset: offset, eventFormat: eventFormat() });
  const reading = served.node.api.getActiveContracts(filter)[Symbol.asyncIterator]();
  await reading.next();

  served.network.merge({ instrument: 'amulet', owner: 'treasury' });
  served.node.prune(served.node.ledgerEnd());

  await expect(reading.next()).rejects.toMatchObject({ code: 'PARTICIPANT_PRUNED_DATA_ACCESSED' });
});
