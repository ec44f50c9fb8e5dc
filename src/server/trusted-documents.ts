/**
 * Documents that were registered beforehand, by their SHA-256: a JSON object of hash to text. Where they are demanded of a client, its
 * credential is worth nothing for any other question, however it came out of the browser it was given to.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Principal } from '../schema/principal.ts';
import { isCustomerOf } from './client-limits.ts';

export type TrustedDocuments = {
  /** Null: there is none of that hash. */
  textOf(sha256: string): string | null;
  has(sha256: string): boolean;
  /** Whether this principal may send no other. */
  isDemandedOf(principal: Principal): boolean;
};

export type DemandedOf = 'nobody' | 'customers' | 'everybody';

const MANIFEST = z.record(z.string().regex(/^[0-9a-f]{64}$/), z.string().min(1));

/** @throws PermanentError TRUSTED_DOCUMENTS_INVALID: not readable, not such an object, or a text of another hash. */
export async function readTrustedDocuments(path: string, demandedOf: DemandedOf): Promise<TrustedDocuments> {
  try {
    const content: unknown = JSON.parse(await readFile(path, 'utf8'));
    return createTrustedDocuments(MANIFEST.parse(content), demandedOf);
  } catch (error) {
    if (error instanceof PermanentError) throw error;
    throw new PermanentError(
      'TRUSTED_DOCUMENTS_INVALID',
      `The trusted documents of ${path} cannot be used: ${messageOf(error)}`,
      { path },
      { cause: error },
    );
  }
}

/** @throws PermanentError TRUSTED_DOCUMENTS_INVALID where a hash is not that of its text. */
export function createTrustedDocuments(
  documents: Readonly<Record<string, string>>,
  demandedOf: DemandedOf,
): TrustedDocuments {
  const texts = new Map(Object.entries(documents));
  for (const [hash, text] of texts) {
    if (createHash('sha256').update(text, 'utf8').digest('hex') !== hash) {
      throw new PermanentError('TRUSTED_DOCUMENTS_INVALID', `The trusted document ${hash} has another hash.`, { hash });
    }
  }
  return {
    textOf: (sha256) => texts.get(sha256) ?? null,
    has: (sha256) => texts.has(sha256),
    isDemandedOf: (principal) => demandedOf === 'everybody' || (demandedOf === 'customers' && isCustomerOf(principal)),
  };
}
