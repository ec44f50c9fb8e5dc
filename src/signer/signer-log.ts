/**
 * The signer's own memory: one file, only ever appended to, one line of JSON per signature, each with the hash of the line before it. A line is on the disk before its signature leaves the process.
 *
 * Read at start from its first line to its last. A last line without its end is what a crash in the middle of a write leaves: its signature never left, and the line is cut off. Anything else that does
 * not fit the chain is a file that somebody changed, and then nothing is signed. What the chain cannot show is that lines are missing at its end: a file that was put back from a backup is a lost one.
 *
 * A log that replaces a lost one signs nothing until everything that was signed by the lost one is past its target (`signsFrom`).
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { SignedRequest } from '../custody/logged-signer.ts';
import { SignerUnavailable } from '../custody/signer.ts';
import type { Micros } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import { formatAmount } from '../tokens/amount.ts';
import { amount, base64, bytes, micros, text, word } from './wire-values.ts';

export type OpenLog = {
  /** In the order signed, as far back as was asked for. */
  readonly past: readonly SignedRequest[];
  /** Public keys that it signed with, oldest first: DER SubjectPublicKeyInfo. */
  readonly keys: readonly Uint8Array[];
  /** By the signer's own clock. */
  readonly signsFrom: Micros;
  /** Bytes of an unfinished last line that were cut off, or 0. */
  readonly cutBytes: number;
  /** @throws SignerUnavailable: it could not be written down, and nothing more will be: start again. */
  append(signed: SignedRequest): Promise<void>;
  /** For a key that is not among {@link OpenLog.keys}, before it signs. @throws SignerUnavailable. */
  appendKey(publicKey: Uint8Array): Promise<void>;
  close(): Promise<void>;
};

const VERSION = 1;
const FILE_MODE = 0o600;
const LINE_BYTES_MAX = 256 * 1024; // Some kilobytes are usual: up to 100 inputs of 140 characters.
const NEWLINE = 0x0a;
const CHAIN_START = '0'.repeat(64);

const chain = z.string().regex(/^[0-9a-f]{64}$/);
const headShape = z.strictObject({
  kind: z.literal('OPENED'),
  version: z.literal(VERSION),
  openedAt: micros,
  signsFrom: micros,
});
const keyShape = z.strictObject({ kind: z.literal('KEY'), publicKey: bytes(512) });
const signedShape = z.strictObject({
  kind: z.literal('SIGNED'),
  signedAt: micros,
  requestId: word,
  digest: chain,
  submissionId: word,
  attempt: z.int().min(1),
  inputs: z.array(word),
  maxRecordTime: micros,
  isCounted: z.boolean(),
  payout: z.strictObject({
    kind: z.enum(['DIRECT', 'OFFER', 'ACCEPT', 'REJECT', 'WITHDRAW']),
    sender: word,
    receiver: word,
    instrument: z.strictObject({ admin: word, id: word }),
    amount,
    meta: z.array(z.tuple([text, text])).transform((entries): ReadonlyMap<string, string> => new Map(entries)),
    synchronizerId: word,
  }),
  signature: z.strictObject({
    format: z.enum(['CONCAT', 'DER']),
    algorithm: z.enum(['ED25519', 'EC_DSA_SHA_256', 'EC_DSA_SHA_384']),
    signedBy: word,
    signature: bytes(256),
    hash: bytes(32),
  }),
});
const entryShape = z.discriminatedUnion('kind', [keyShape, signedShape]);
const lineShape = z.strictObject({ n: z.int().min(0), chain, body: z.string() });

/**
 * Begins a log where there is none.
 * @param signsFrom when its first signature may be made: now for a first log, and for one that replaces a lost one the latest target that may have been signed.
 * @throws PermanentError SIGNER_LOG_EXISTS.
 */
export async function createLog(path: string, times: { readonly openedAt: Micros; readonly signsFrom: Micros }) {
  const body = JSON.stringify({
    kind: 'OPENED',
    version: VERSION,
    openedAt: times.openedAt.toString(),
    signsFrom: times.signsFrom.toString(),
  });
  const file = await openFile(path, 'ax');
  try {
    await file.writeFile(lineOf(0, CHAIN_START, body).line);
    await file.sync();
  } finally {
    await file.close();
  }
  await syncDirectory(dirname(path));
}

/**
 * @param rememberFrom signatures whose target is before this are read and not kept: no ledger takes them any more.
 * @throws PermanentError SIGNER_LOG_MISSING; SIGNER_LOG_CORRUPT with the number of the line; SIGNER_LOG_UNREADABLE.
 */
export async function openLog(path: string, rememberFrom: Micros = 0n): Promise<OpenLog> {
  const read = await readLog(path, rememberFrom);
  const file = await openFile(path, 'a');
  if (read.cutBytes > 0) {
    // `a` can not truncate below its end on every system, so by another handle.
    const cutter = await openFile(path, 'r+');
    await cutter.truncate(read.bytes);
    await cutter.sync();
    await cutter.close();
  }
  return {
    past: read.past,
    keys: read.keys,
    signsFrom: read.signsFrom,
    cutBytes: read.cutBytes,
    ...appenderTo(file, read),
  };
}

type Place = { readonly count: number; readonly chain: string; readonly bytes: number };

/** What is waiting while one write is on its way to the disk goes with the next one: many signatures, one sync. */
function appenderTo(file: FileHandle, start: Place): Pick<OpenLog, 'append' | 'appendKey' | 'close'> {
  let { count, chain } = start;
  let bytesWritten = start.bytes;
  let failure: unknown = null;
  let batch: { readonly lines: string[]; readonly done: Promise<void> } | null = null;
  let last: Promise<void> = Promise.resolve();

  const writeOut = async (lines: readonly string[]): Promise<void> => {
    try {
      if (failure !== null) throw failure;
      // Another writer would have made it longer: then this log is no longer ours alone.
      const { size } = await file.stat();
      if (size !== bytesWritten) throw new PermanentError('SIGNER_LOG_SHARED', 'Somebody else writes to the log.');
      const data = Buffer.from(lines.join(''));
      await file.appendFile(data);
      await file.datasync();
      bytesWritten += data.length;
    } catch (error) {
      failure = error;
      throw new SignerUnavailable(
        'SIGNER_UNAVAILABLE',
        `The log cannot be written: ${messageOf(error)}`,
        {},
        {
          cause: error,
        },
      );
    }
  };
  const nextBatch = (): NonNullable<typeof batch> => {
    const lines: string[] = [];
    const done = last.then(async () => {
      batch = null;
      await writeOut(lines);
    });
    last = done.catch(() => undefined); // Told to everybody whose line was among them.
    return { lines, done };
  };

  const appendBody = async (body: string): Promise<void> => {
    const next = lineOf(count, chain, body);
    count += 1;
    chain = next.chain;
    batch ??= nextBatch();
    batch.lines.push(next.line);
    await batch.done;
  };

  return {
    append: async (signed) => await appendBody(bodyOf(signed)),
    appendKey: async (publicKey) => await appendBody(JSON.stringify({ kind: 'KEY', publicKey: base64(publicKey) })),
    close: async () => {
      await last;
      failure ??= new PermanentError('SIGNER_LOG_CLOSED', 'The log is closed.');
      await file.close();
    },
  };
}

async function readLog(
  path: string,
  rememberFrom: Micros,
): Promise<Place & Pick<OpenLog, 'past' | 'keys' | 'signsFrom' | 'cutBytes'>> {
  const file = await openFile(path, 'r');
  try {
    const past: SignedRequest[] = [];
    const keys: Uint8Array[] = [];
    let signsFrom: Micros | null = null;
    let place: Place = { count: 0, chain: CHAIN_START, bytes: 0 };
    const corrupt = (why: string): PermanentError => {
      const line = place.count + 1;
      const message = `Line ${line} of the log ${why}. Nothing is signed by it.`;
      return new PermanentError('SIGNER_LOG_CORRUPT', message, { path, line });
    };
    const take = (line: Buffer): void => {
      const parsed = lineShape.safeParse(parseJson(line.toString('utf8')));
      if (!parsed.success) throw corrupt('cannot be read');
      const expected = lineOf(place.count, place.chain, parsed.data.body);
      if (!Buffer.from(expected.line).equals(Buffer.concat([line, Buffer.from('\n')])))
        throw corrupt('does not follow from the one before');
      const body = parseJson(parsed.data.body);
      if (place.count === 0) {
        const head = headShape.safeParse(body);
        if (!head.success) throw corrupt('is of another version');
        ({ signsFrom } = head.data);
      } else {
        const entry = entryShape.safeParse(body);
        if (!entry.success) throw corrupt('is no signature');
        if (entry.data.kind === 'KEY') keys.push(entry.data.publicKey);
        else if (entry.data.maxRecordTime >= rememberFrom) past.push(signedOf(entry.data));
      }
      place = { count: place.count + 1, chain: expected.chain, bytes: place.bytes + line.length + 1 };
    };

    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of file.createReadStream({ autoClose: false })) {
      rest = Buffer.concat([rest, z.instanceof(Buffer).parse(chunk)]);
      for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE)) {
        take(rest.subarray(0, end));
        rest = rest.subarray(end + 1);
      }
      if (rest.length > LINE_BYTES_MAX) throw corrupt('is too long');
    }
    if (signsFrom === null) throw corrupt('is missing or unfinished: it was never begun');
    return { ...place, past, keys, signsFrom, cutBytes: rest.length };
  } finally {
    await file.close();
  }
}

function signedOf({ kind: _, ...signed }: z.infer<typeof signedShape>): SignedRequest {
  return signed;
}

function lineOf(n: number, before: string, body: string): { readonly line: string; readonly chain: string } {
  const own = createHash('sha256').update(`${before}\n${n}\n${body}`).digest('hex');
  return { line: `${JSON.stringify({ n, chain: own, body })}\n`, chain: own };
}

function bodyOf({ payout, signature, ...signed }: SignedRequest): string {
  return JSON.stringify({
    kind: 'SIGNED',
    signedAt: signed.signedAt.toString(),
    requestId: signed.requestId,
    digest: signed.digest,
    submissionId: signed.submissionId,
    attempt: signed.attempt,
    inputs: signed.inputs,
    maxRecordTime: signed.maxRecordTime.toString(),
    isCounted: signed.isCounted,
    payout: {
      kind: payout.kind,
      sender: payout.sender,
      receiver: payout.receiver,
      instrument: { admin: payout.instrument.admin, id: payout.instrument.id },
      amount: formatAmount(payout.amount),
      meta: [...payout.meta],
      synchronizerId: payout.synchronizerId,
    },
    signature: {
      format: signature.format,
      algorithm: signature.algorithm,
      signedBy: signature.signedBy,
      signature: base64(signature.signature),
      hash: base64(signature.hash),
    },
  });
}

async function openFile(path: string, flags: 'r' | 'r+' | 'a' | 'ax'): Promise<FileHandle> {
  try {
    return await open(path, flags, FILE_MODE);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT')
      throw new PermanentError(
        'SIGNER_LOG_MISSING',
        'There is no log at this path: --new-log begins one for a key that signed nothing yet, --lost-log where it was lost.',
        { path },
      );
    if (code === 'EEXIST') throw new PermanentError('SIGNER_LOG_EXISTS', 'There is a log at this path.', { path });
    throw new PermanentError('SIGNER_LOG_UNREADABLE', messageOf(error), { path }, { cause: error });
  }
}

/** So that the file's name outlives a crash of the machine as its contents do. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
