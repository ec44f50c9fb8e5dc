/**
 * As much of PKCS#11 (Cryptoki 2.40) as a signer needs: find one key of one token, and sign with it. The module is the vendor's library, called through koffi; nothing else in Sluice calls foreign code.
 *
 * Only where a CK_ULONG has eight bytes and structures are not packed: Linux and macOS on 64 bits.
 * @see OASIS PKCS #11 Cryptographic Token Interface Base Specification 2.40; CKM_EDDSA from Current Mechanisms 3.0.
 */
import { z } from 'zod';
import { messageOf, PermanentError, RetryableError } from '../../env/errors.ts';

export const CKA = {
  CLASS: 0x0n,
  LABEL: 0x3n,
  KEY_TYPE: 0x100n,
  SENSITIVE: 0x103n,
  EXTRACTABLE: 0x162n,
  EC_PARAMS: 0x180n,
  EC_POINT: 0x181n,
} as const;
export const CKO = { PUBLIC_KEY: 2n, PRIVATE_KEY: 3n } as const;
export const CKM = { ECDSA: 0x1041n, EDDSA: 0x1057n } as const;

export type Cryptoki = {
  /** @returns handles of the objects with all these attributes, in the token that was opened; at most 16. */
  find(attributes: readonly (readonly [bigint, Uint8Array])[]): readonly bigint[];
  /** @returns the value; null where the object has no such attribute, or does not show it. */
  attribute(object: bigint, type: bigint): Uint8Array | null;
  /** Off the event loop. One at a time. @throws RetryableError SIGNER_MODULE: the session is over. */
  sign(mechanism: bigint, key: bigint, data: Uint8Array): Promise<Uint8Array>;
  close(): void;
};

const OK = 0;
const ALREADY_INITIALIZED = 0x191;
const OS_LOCKING_OK = 2n;
const SERIAL_SESSION = 4;
const USER = 1;
const WORD = 8;
const TOKEN_INFO_BYTES = 512; // 208 in 2.40; more harms nobody.
const LABEL_BYTES = 32;
const FOUND_MAX = 16;
const SLOTS_MAX = 64;
const ATTRIBUTE_BYTES_MAX = 4_096;
const SIGNATURE_BYTES_MAX = 256;

/** Positions in CK_FUNCTION_LIST, and the arguments after the result, which always is a CK_ULONG. */
const FUNCTIONS = {
  C_Initialize: [0, 'void *'],
  C_Finalize: [1, 'void *'],
  C_GetSlotList: [4, 'uint8, void *, void *'],
  C_GetTokenInfo: [6, 'ulong, void *'],
  C_OpenSession: [12, 'ulong, ulong, void *, void *, void *'],
  C_CloseSession: [13, 'ulong'],
  C_Login: [18, 'ulong, ulong, void *, ulong'],
  C_GetAttributeValue: [24, 'ulong, ulong, void *, ulong'],
  C_FindObjectsInit: [26, 'ulong, void *, ulong'],
  C_FindObjects: [27, 'ulong, void *, ulong, void *'],
  C_FindObjectsFinal: [28, 'ulong'],
  C_SignInit: [42, 'ulong, void *, ulong'],
  C_Sign: [43, 'ulong, void *, ulong, void *, void *'],
} as const;
type FunctionName = keyof typeof FUNCTIONS;

const resultShape = z.union([z.number(), z.bigint()]).transform(Number);
const pointerShape = z.bigint();

/**
 * Loads the module and logs in to the token.
 * @throws PermanentError SIGNER_MODULE_MISSING (koffi or the library), SIGNER_TOKEN_MISSING, SIGNER_MODULE with the return value (CKR_…) in hex: a wrong PIN is 0xa0.
 */
export async function openCryptoki(options: {
  readonly module: string;
  readonly tokenLabel: string;
  readonly pin: string;
}): Promise<Cryptoki> {
  const koffi = await import('koffi').catch((cause: unknown) => {
    throw missing('koffi is not installed: npm install koffi', cause);
  });
  if (process.platform === 'win32' || koffi.sizeof('ulong') !== WORD) throw missing('not on this platform');
  const { library, functions } = loadModule(koffi, options.module);
  const addressOf = (bytes: Buffer): bigint => koffi.address(bytes);

  const call = (name: FunctionName, ...args: readonly unknown[]): void => {
    const result = resultShape.parse(functions[name](...args));
    if (result !== OK && !(name === 'C_Initialize' && result === ALREADY_INITIALIZED)) throw failed(name, result);
  };
  const callAside = (name: FunctionName, ...args: readonly unknown[]): Promise<void> =>
    new Promise((resolve, reject) => {
      functions[name].async(...args, (error: unknown, result: unknown) => {
        if (error !== null) return reject(failed(name, -1, error));
        const value = resultShape.parse(result);
        if (value === OK) resolve();
        else reject(failed(name, value));
      });
    });

  // CK_C_INITIALIZE_ARGS: no mutexes of ours, but the module may use the system's. Signatures are made on other threads.
  const initializing = Buffer.alloc(6 * WORD);
  initializing.writeBigUInt64LE(OS_LOCKING_OK, 4 * WORD);
  call('C_Initialize', initializing);
  try {
    const slot = findSlot(call, options.tokenLabel);
    const session = Buffer.alloc(WORD);
    call('C_OpenSession', slot, SERIAL_SESSION, null, null, session);
    const handle = session.readBigUInt64LE();
    const pin = Buffer.from(options.pin);
    try {
      call('C_Login', handle, USER, pin, pin.length);
    } finally {
      pin.fill(0);
    }
    let last: Promise<unknown> = Promise.resolve();
    return {
      find: (attributes) => findObjects(call, addressOf, handle, attributes),
      attribute: (object, type) => {
        const value = Buffer.alloc(ATTRIBUTE_BYTES_MAX);
        const template = attributeTemplate(addressOf, [[type, value]]);
        const result = resultShape.parse(functions.C_GetAttributeValue(handle, object, template, 1));
        if (result !== OK) return null;
        const length = Number(template.readBigUInt64LE(2 * WORD));
        return length <= value.length ? new Uint8Array(value.subarray(0, length)) : null;
      },
      sign: async (mechanism, key, data) => {
        const made = last.then(async () => {
          const mechanismBytes = Buffer.alloc(3 * WORD);
          mechanismBytes.writeBigUInt64LE(mechanism);
          const [input, output, length] = [Buffer.from(data), Buffer.alloc(SIGNATURE_BYTES_MAX), Buffer.alloc(WORD)];
          length.writeBigUInt64LE(BigInt(output.length));
          await callAside('C_SignInit', handle, mechanismBytes, key);
          await callAside('C_Sign', handle, input, input.length, output, length);
          return new Uint8Array(output.subarray(0, Number(length.readBigUInt64LE())));
        });
        last = made.catch(() => undefined);
        return await made;
      },
      close: () => {
        // What fails on the way out is over anyway.
        functions.C_CloseSession(handle);
        functions.C_Finalize(null);
        // Not earlier: a library that nobody refers to is collected, and takes the module's code out of memory; its functions do not refer to it.
        void last.then(() => library.unload());
      },
    };
  } catch (error) {
    functions.C_Finalize(null);
    throw error;
  }
}

type Koffi = typeof import('koffi');
type Call = (name: FunctionName, ...args: readonly unknown[]) => void;
type Loaded = Readonly<Record<FunctionName, ReturnType<ReturnType<Koffi['load']>['func']>>>;

function loadModule(
  koffi: Koffi,
  module: string,
): { readonly library: ReturnType<Koffi['load']>; readonly functions: Loaded } {
  try {
    const library = koffi.load(module);
    const list = Buffer.alloc(WORD);
    const result = resultShape.parse(library.func('ulong C_GetFunctionList(void *list)')(list));
    if (result !== OK) throw failed('C_GetFunctionList', result);
    const table = list.readBigUInt64LE();
    const load = (name: FunctionName): Loaded[FunctionName] => {
      const [position, args] = FUNCTIONS[name];
      // The version comes first, and fills a word.
      const pointer = pointerShape.parse(koffi.decode(table, (position + 1) * WORD, 'void *'));
      return koffi.decode(pointer, koffi.proto('ulong', args.split(', ')));
    };
    const functions: Loaded = {
      C_Initialize: load('C_Initialize'),
      C_Finalize: load('C_Finalize'),
      C_GetSlotList: load('C_GetSlotList'),
      C_GetTokenInfo: load('C_GetTokenInfo'),
      C_OpenSession: load('C_OpenSession'),
      C_CloseSession: load('C_CloseSession'),
      C_Login: load('C_Login'),
      C_GetAttributeValue: load('C_GetAttributeValue'),
      C_FindObjectsInit: load('C_FindObjectsInit'),
      C_FindObjects: load('C_FindObjects'),
      C_FindObjectsFinal: load('C_FindObjectsFinal'),
      C_SignInit: load('C_SignInit'),
      C_Sign: load('C_Sign'),
    };
    return { library, functions };
  } catch (cause) {
    if (cause instanceof PermanentError || cause instanceof RetryableError) throw cause;
    throw missing(`${module} cannot be loaded: ${messageOf(cause)}`, cause);
  }
}

function findSlot(call: Call, tokenLabel: string): bigint {
  const count = Buffer.alloc(WORD);
  count.writeBigUInt64LE(BigInt(SLOTS_MAX));
  const slots = Buffer.alloc(SLOTS_MAX * WORD);
  call('C_GetSlotList', 1, slots, count);
  for (let index = 0; index < Number(count.readBigUInt64LE()); index += 1) {
    const slot = slots.readBigUInt64LE(index * WORD);
    const info = Buffer.alloc(TOKEN_INFO_BYTES);
    call('C_GetTokenInfo', slot, info);
    if (info.subarray(0, LABEL_BYTES).toString('utf8').trimEnd() === tokenLabel) return slot;
  }
  throw new PermanentError('SIGNER_TOKEN_MISSING', `The module has no token ${JSON.stringify(tokenLabel)}.`);
}

function findObjects(
  call: Call,
  addressOf: (bytes: Buffer) => bigint,
  session: bigint,
  attributes: readonly (readonly [bigint, Uint8Array])[],
): readonly bigint[] {
  const values = attributes.map(([type, value]) => [type, Buffer.from(value)] as const);
  call('C_FindObjectsInit', session, attributeTemplate(addressOf, values), values.length);
  const [found, count] = [Buffer.alloc(FOUND_MAX * WORD), Buffer.alloc(WORD)];
  try {
    call('C_FindObjects', session, found, FOUND_MAX, count);
  } finally {
    call('C_FindObjectsFinal', session);
  }
  return Array.from({ length: Number(count.readBigUInt64LE()) }, (_, index) => found.readBigUInt64LE(index * WORD));
}

/** An array of CK_ATTRIBUTE: type, pointer, length. The values must outlive the call. */
function attributeTemplate(
  addressOf: (bytes: Buffer) => bigint,
  attributes: readonly (readonly [bigint, Buffer])[],
): Buffer {
  const template = Buffer.alloc(attributes.length * 3 * WORD);
  attributes.forEach(([type, value], index) => {
    template.writeBigUInt64LE(type, index * 3 * WORD);
    template.writeBigUInt64LE(addressOf(value), (index * 3 + 1) * WORD);
    template.writeBigUInt64LE(BigInt(value.length), (index * 3 + 2) * WORD);
  });
  return template;
}

export function word(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(WORD);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

function missing(why: string, cause?: unknown): PermanentError {
  return new PermanentError('SIGNER_MODULE_MISSING', `No hardware module: ${why}.`, {}, { cause });
}

function failed(name: string, result: number, cause?: unknown): RetryableError {
  return new RetryableError('SIGNER_MODULE', `${name} returned 0x${result.toString(16)}.`, { result }, { cause });
}
