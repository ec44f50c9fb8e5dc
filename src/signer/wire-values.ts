/** How single values are written in the signer's protocol: bytes as base64, amounts and times as decimal text, lists and texts bounded. Both sides read with these. */
import { z } from 'zod';
import { type Amount, parseAmount } from '../tokens/amount.ts';

const TEXT_MAX = 10_000; // Memos and ids are far shorter.

/** Well-formed text without U+0000. */
export const text = z
  .string()
  .max(TEXT_MAX)
  .refine((value) => value.isWellFormed() && !value.includes('\0'), 'not storable text');

/** An id, or a name. */
export const word = text.min(1).max(1_000);

/** Standard base64 with padding, canonical. */
export const bytes = (bytesMax: number): z.ZodType<Uint8Array, string> =>
  z
    .string()
    .max(Math.ceil(bytesMax / 3) * 4)
    .transform((input, context) => {
      const decoded = Buffer.from(input, 'base64');
      if (decoded.toString('base64') === input && decoded.length <= bytesMax) return new Uint8Array(decoded);
      context.addIssue({ code: 'custom', message: 'not canonical base64' });
      return z.NEVER;
    });

export const base64 = (value: Uint8Array): string => Buffer.from(value).toString('base64');

/** Microseconds since 1970, up to 19 digits. */
export const micros = z
  .string()
  .regex(/^-?(?:0|[1-9]\d{0,18})$/)
  .transform((input) => BigInt(input));

/** A plain decimal with at most ten decimals. */
export const amount: z.ZodType<Amount, string> = z.string().transform((input, context) => {
  try {
    return parseAmount(input);
  } catch {
    context.addIssue({ code: 'custom', message: 'not a decimal amount' });
    return z.NEVER;
  }
});
