/**
 * The signer's protocol, version 1, as both sides read it: docs/signer-protocol.md in code. Everything is parsed at both edges, and an unknown field is refused: what one side does not know it cannot heed.
 */
import { z } from 'zod';
import { CustodyRefusal, REFUSAL_CODES } from '../custody/custody-refusal.ts';
import { PREPARED_BYTES_MAX } from '../custody/prepared-transaction.ts';
import { EARLIER_ATTEMPTS_MAX, type SigningRequest, type TransferSignature } from '../custody/signer.ts';
import type { SigningKey } from '../custody/signing-key.ts';
import { intentJson, intentShape } from './intent-wire.ts';
import { base64, bytes, micros, text, word } from './wire-values.ts';

export const SIGN_PATH = '/v1/sign';
export const KEY_PATH = '/v1/key';

/** 16 MiB: the largest prepared transaction (10 MiB) in base64, and its intent. */
export const REQUEST_BYTES_MAX = 16 * 1024 * 1024;
/** 64 KiB: an answer is a few hundred bytes. */
export const ANSWER_BYTES_MAX = 64 * 1024;

const HASH_BYTES = 32;
const SIGNATURE_BYTES_MAX = 256;
const KEY_BYTES_MAX = 512;
const INPUTS_MAX = 100;

const requestShape = z.strictObject({
  requestId: word,
  submissionId: word,
  attempt: z.int().min(1).max(1_000_000),
  earlierAttempts: z
    .array(z.strictObject({ attempt: z.int().min(1).max(1_000_000), inputs: z.array(word).max(INPUTS_MAX) }))
    .max(EARLIER_ATTEMPTS_MAX),
  inputsSpentElsewhere: z.array(word).max(EARLIER_ATTEMPTS_MAX * INPUTS_MAX),
  intent: intentShape,
  prepared: z.strictObject({
    preparedTransaction: bytes(PREPARED_BYTES_MAX),
    scheme: z.enum(['V2', 'V3']),
    nodeHash: bytes(HASH_BYTES),
  }),
  recordTime: micros,
});
export type RequestJson = z.input<typeof requestShape>;

const algorithm = z.enum(['ED25519', 'EC_DSA_SHA_256', 'EC_DSA_SHA_384']);
const fingerprint = z.string().regex(/^1220[0-9a-f]{64}$/);

const signatureShape = z.strictObject({
  requestId: word,
  format: z.enum(['CONCAT', 'DER']),
  algorithm,
  signedBy: fingerprint,
  signature: bytes(SIGNATURE_BYTES_MAX),
  hash: bytes(HASH_BYTES),
});

/** `keys`: all whose signatures may still be answered, the current one among them. `publicKey`: DER SubjectPublicKeyInfo. */
const keysShape = z.strictObject({
  current: fingerprint,
  keys: z
    .array(z.strictObject({ fingerprint, algorithm, publicKey: bytes(KEY_BYTES_MAX) }))
    .min(1)
    .max(100),
});

const refusedShape = z.strictObject({
  error: z.strictObject({ kind: z.literal('REFUSED'), code: z.enum(REFUSAL_CODES), message: text, at: text }),
});
const unavailableShape = z.strictObject({
  error: z.strictObject({
    kind: z.literal('UNAVAILABLE'),
    code: z.enum(['SIGNER_UNAVAILABLE', 'SIGNATURE_PENDING']),
    message: text,
  }),
});

export type RefusedJson = z.infer<typeof refusedShape>;
export type UnavailableJson = z.infer<typeof unavailableShape>;
export type SignatureJson = z.input<typeof signatureShape>;
export type KeysJson = z.input<typeof keysShape>;

export function requestJson(request: SigningRequest): RequestJson {
  const { preparedTransaction, scheme, nodeHash } = request.prepared;
  return {
    requestId: request.requestId,
    submissionId: request.submissionId,
    attempt: request.attempt,
    earlierAttempts: request.earlierAttempts.map(({ attempt, inputs }) => ({ attempt, inputs: [...inputs] })),
    inputsSpentElsewhere: [...request.inputsSpentElsewhere],
    intent: intentJson(request.intent),
    prepared: { preparedTransaction: base64(preparedTransaction), scheme, nodeHash: base64(nodeHash) },
    recordTime: request.recordTime.toString(),
  };
}

/** @throws CustodyRefusal SIGNING_REQUEST_INVALID: a bare hash is one of the things that are no request. */
export function parseRequest(body: unknown): SigningRequest {
  const parsed = requestShape.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue === undefined ? 'request' : ['request', ...issue.path].join('.');
  throw new CustodyRefusal('SIGNING_REQUEST_INVALID', `Not a request to sign: ${issue?.message ?? 'no object'}`, at);
}

export function signatureJson(requestId: string, signature: TransferSignature): SignatureJson {
  const { format, algorithm, signedBy, hash } = signature;
  return { requestId, format, algorithm, signedBy, signature: base64(signature.signature), hash: base64(hash) };
}

export function keysJson(current: SigningKey, keys: readonly SigningKey[]): KeysJson {
  return {
    current: current.fingerprint,
    keys: keys.map((key) => ({
      fingerprint: key.fingerprint,
      algorithm: key.algorithm,
      publicKey: key.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    })),
  };
}

/** @returns null for anything that is not an answer of this protocol: then nothing was answered. */
export const parseSignature = (body: unknown) => signatureShape.safeParse(body).data ?? null;
export const parseKeys = (body: unknown) => keysShape.safeParse(body).data ?? null;
export const parseRefused = (body: unknown) => refusedShape.safeParse(body).data?.error ?? null;
export const parseUnavailable = (body: unknown) => unavailableShape.safeParse(body).data?.error ?? null;
