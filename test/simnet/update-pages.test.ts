/** Updates in pages and in descending order, over gRPC: what paged readers and backward readers get. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  GetUpdatesPageRequest,
  type GetUpdatesPageResponse,
} from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { detailsOf, drain, refusal, type Served, serve, transactionIds, unary } from './ledger-client.ts';

let served: Served;

beforeEach(async () => {
  served = await serve();
});

afterEach(async () => {
  await served.stop();
});

const page = (request: Parameters<typeof GetUpdatesPageRequest.fromPartial>[0]) =>
  unary<GetUpdatesPageResponse>((callback) =>
    served.updates.getUpdatesPage(
      GetUpdatesPageRequest.fromPartial({ updateFormat: served.treasuryFormat(), ...request }),
      callback,
    ),
  );

/** Follows tokens to the end. */
async function allPages(request: Parameters<typeof page>[0]) {
  const pages: GetUpdatesPageResponse[] = [];
  let pageToken: Uint8Array | undefined;
  do {
    const answer = await page({ ...request, pageToken });
    pages.push(answer);
    pageToken = answer.nextPageToken;
    // What comes after the first page is on none.
    if (pages.length === 1) served.pay();
  } while (pageToken !== undefined && pageToken.length > 0);
  return pages;
}

const idsOf = (pages: readonly GetUpdatesPageResponse[]) =>
  pages.flatMap(({ updates }) => updates.flatMap(({ update }) => update?.value.updateId ?? []));

test.each([false, true])('pages cover the range without gap or overlap, descending: %s', async (descendingOrder) => {
  for (let index = 0; index < 12; index += 1) {
    served.pay();
    if (index % 4 === 0)
      served.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'bob', amount: '1' });
  }
  const end = served.node.ledgerEnd();
  const { messages } = await drain(served.getUpdates({ beginExclusive: 0n, endInclusive: end }));
  const expected = descendingOrder ? transactionIds(messages).reverse() : transactionIds(messages);

  const pages = await allPages({ descendingOrder, maxPageSize: 5 });

  expect(idsOf(pages)).toEqual(expected);
  expect(pages.slice(0, -1).every(({ updates }) => updates.length === 5)).toBe(true);
  const ordered = descendingOrder ? [...pages].reverse() : pages;
  expect(ordered[0]?.lowestPageOffsetExclusive).toBe(0n);
  expect(ordered.at(-1)?.highestPageOffsetInclusive).toBe(end);
  for (const [index, { lowestPageOffsetExclusive }] of ordered.slice(1).entries())
    expect(lowestPageOffsetExclusive).toBe(ordered[index]?.highestPageOffsetInclusive);
});

test('a stream can run backwards, and then needs an end', async () => {
  const begin = served.node.ledgerEnd();
  const ids = [served.pay(), served.pay(), served.pay()].map(({ updateId }) => updateId);

  const { messages, error } = await drain(
    served.getUpdates({ beginExclusive: begin, endInclusive: served.node.ledgerEnd(), descendingOrder: true }),
  );
  const endless = await served.streamRefusal({ beginExclusive: begin, descendingOrder: true });

  expect(error).toBeUndefined();
  expect(transactionIds(messages)).toEqual([...ids].reverse());
  expect(detailsOf(endless).info.reason).toBe('DESCENDING_ORDER_MISSING_END');
});

test('pages of pruned history, of the future, or of foreign tokens are refused', async () => {
  served.pay();
  const end = served.node.ledgerEnd();
  served.pay();
  served.node.prune(end);

  const refusals = [
    await refusal(page({ beginOffsetExclusive: 1n })),
    await refusal(page({ endOffsetInclusive: served.node.ledgerEnd() + 1n })),
    await refusal(page({ pageToken: Uint8Array.of(1) })),
    await refusal(page({ maxPageSize: 2_001 })),
  ];

  expect(refusals.map((error) => detailsOf(error).info.reason)).toEqual([
    'PARTICIPANT_PRUNED_DATA_ACCESSED',
    'OFFSET_AFTER_LEDGER_END',
    'INVALID_PAGE_TOKEN',
    'INVALID_FIELD',
  ]);
  expect((await page({})).updates.length).toBe(1);
});
