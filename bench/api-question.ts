/** What the contestants of bench/api-http.ts are asked: a page of 50 transfers with what belongs to each. */
import { formatRecordTime } from '../src/env/record-time.ts';

export const API_PAGE = 50;

const QUERY = `query Page { transfers(first: ${API_PAGE}) {
  nodes { transferId kind direction status amount memo updateId recordTime
    treasury { name party } instrument { name admin }
    attribution { decidedBy account { customer } depositAccount { memo } } }
  pageInfo { hasNextPage } } }`;

export const API_BODY: string = JSON.stringify({ query: QUERY });

/** A row of the list's statement, as far as the question reads it. */
export type ApiRow = {
  readonly id: string;
  readonly kind: string;
  readonly direction: string;
  readonly status: string;
  readonly amount: string;
  readonly memo: string;
  readonly updateId: string;
  readonly recordTime: bigint;
  readonly treasuryName: string;
  readonly party: string;
  readonly instrumentName: string;
  readonly admin: string;
  readonly decidedBy: string;
  readonly accountOwner: string;
  readonly depositAccountId: string;
};

/** @returns the answer as anybody would write it by hand, field for field what GraphQL gives. */
export function answerOf(rows: readonly ApiRow[], memos: ReadonlyMap<string, string>) {
  return {
    data: {
      transfers: {
        nodes: rows.map((row) => ({
          transferId: row.id,
          kind: row.kind,
          direction: row.direction,
          status: row.status,
          amount: row.amount,
          memo: row.memo,
          updateId: row.updateId,
          recordTime: formatRecordTime(row.recordTime),
          treasury: { name: row.treasuryName, party: row.party },
          instrument: { name: row.instrumentName, admin: row.admin },
          attribution: {
            decidedBy: row.decidedBy,
            account: { customer: row.accountOwner },
            depositAccount: { memo: memos.get(row.depositAccountId) },
          },
        })),
        pageInfo: { hasNextPage: true },
      },
    },
  };
}
