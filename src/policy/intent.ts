/**
 * What is judged and approved: everything that says who is paid what, by whom and for whom. Never a prepared transaction: those go stale while people think. Its hash is what an approval is bound to. The database
 * makes the same hash of the row that is paid (`withdrawal_intent_hash`); whoever approves can make it himself of what he is shown.
 *
 * The text that is hashed: `sluice.withdrawal-intent.1:`, then each part as its length in bytes of UTF-8, a colon and itself, or `-` where there is none; in the order of {@link Intent}, with ten decimals in the
 * amount and the deadline in microseconds since 1970. So no two intents have one text, down to a blank in a memo.
 */
import { createHash } from 'node:crypto';
import { type Amount, formatAmount } from '../tokens/amount.ts';

export type Intent = {
  readonly withdrawalId: string;
  readonly network: string;
  /** Who pays: a party id. */
  readonly treasuryParty: string;
  /** Whose account is debited: its kind and the exchange's own name for it. */
  readonly accountKind: string;
  readonly account: string;
  readonly instrument: { readonly admin: string; readonly id: string };
  /** Who is paid: a party id. */
  readonly receiver: string;
  readonly amount: Amount;
  readonly memo: string | null;
  /** Record time after which nothing may be signed for it, microseconds; null: none. */
  readonly deadline: bigint | null;
};

const VERSION = 'sluice.withdrawal-intent.1:';

/** SHA-256. */
export function intentHash(intent: Intent): Buffer {
  return createHash('sha256').update(intentText(intent), 'utf8').digest();
}

/** How a hash is shown and given back: the version of its text, and hex. */
export function formatIntentHash(hash: Uint8Array): string {
  return `1:${Buffer.from(hash).toString('hex')}`;
}

/** @returns null where it is none that {@link formatIntentHash} prints. */
export function parseIntentHash(text: string): Buffer | null {
  const [, hex] = /^1:([0-9a-f]{64})$/.exec(text) ?? [];
  return hex === undefined ? null : Buffer.from(hex, 'hex');
}

function intentText(intent: Intent): string {
  const { instrument } = intent;
  const parts = [
    intent.withdrawalId,
    intent.network,
    intent.treasuryParty,
    intent.accountKind,
    intent.account,
    instrument.admin,
    instrument.id,
    intent.receiver,
    formatAmount(intent.amount),
    intent.memo,
    intent.deadline === null ? null : intent.deadline.toString(),
  ];
  return VERSION + parts.map(netstring).join('');
}

function netstring(part: string | null): string {
  return part === null ? '-' : `${Buffer.byteLength(part, 'utf8')}:${part}`;
}
