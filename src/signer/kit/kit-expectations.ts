/** What the cases of the kit expect, and how they say that it is otherwise. */
import { isDeepStrictEqual } from 'node:util';
import { CustodyRefusal } from '../../custody/custody-refusal.ts';
import { type Signer, SignerUnavailable, type SigningRequest, type TransferSignature } from '../../custody/signer.ts';
import { verifySignature } from '../../custody/verify-signature.ts';
import { PermanentError } from '../../env/errors.ts';

type Asked = Pick<Signer, 'sign'> | { sign(request: SigningRequest): Promise<unknown> };

/** `signed`, or the code of the refusal. Anything else passes through. */
export async function outcomeOf(signer: Asked, request: SigningRequest): Promise<string> {
  try {
    await signer.sign(request);
  } catch (error) {
    if (error instanceof CustodyRefusal) return error.code;
    throw error;
  }
  return 'signed';
}

/** @param code any refusal when left out. */
export async function expectRefused(signer: Signer, request: SigningRequest, code?: string): Promise<void> {
  const outcome = await outcomeOf(signer, request);
  const isExpected = code === undefined ? outcome !== 'signed' : outcome === code;
  expect(isExpected, `${code ?? 'a refusal'}, got ${outcome}`);
}

export async function expectUnavailable(signer: Signer, request: SigningRequest, signal?: AbortSignal): Promise<void> {
  const outcome = await signer.sign(request, signal).catch((error: unknown) => error);
  expect(outcome instanceof SignerUnavailable, 'SignerUnavailable, which may be retried');
}

export function expectSame(found: unknown, expected: unknown): void {
  expect(isDeepStrictEqual(found, expected), 'the same answer');
}

export function verify(signature: TransferSignature, keys: Parameters<typeof verifySignature>[2]): void {
  verifySignature(signature.hash, signature, keys);
}

export function refused(action: () => void): boolean {
  try {
    action();
  } catch (error) {
    return error instanceof CustodyRefusal;
  }
  return false;
}

export function expect(condition: boolean, expected: string): void {
  if (!condition) throw new PermanentError('SIGNER_CHECK_FAILED', `Expected ${expected}.`);
}
