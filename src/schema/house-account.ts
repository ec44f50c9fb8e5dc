/** The accounts of the house that a post transfer may name. */
import type { PostableHouseAccount } from '../books/post-transfer-lines.ts';
import { builder } from './builder.ts';

export const HouseAccountEnum = builder.enumType('HouseAccount', {
  description:
    'An account of the exchange itself. It may be below zero: what the exchange has elsewhere is not known here. Since 0.1.',
  values: {
    FEES: { description: 'What was earned: fees of trades, of returned offers; and what the ledger charged.' },
    HOUSE: { description: 'What is the exchange’s own: mints, rewards, its own trades.' },
    SHORTFALL: {
      description:
        'Below zero by what the house laid out for payments that their customers’ balances did not cover after a restore, until a post transfer settles it.',
    },
  } as const satisfies Readonly<Record<PostableHouseAccount, unknown>>,
});

/** Null: none of them. */
export function houseAccountOf(name: string | null): PostableHouseAccount | null {
  return name === 'FEES' || name === 'HOUSE' || name === 'SHORTFALL' ? name : null;
}
