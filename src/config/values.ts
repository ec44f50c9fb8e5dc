/** The values that are more than a word: how each is written in an environment variable, and what is made of it. */
import { z } from 'zod';
import { parseRecordTime } from '../env/record-time.ts';
import { type ConfiguredRegistry, parseReadSource, type ReadSource } from './read-source.ts';
import { createSecret, type Secret } from './secret.ts';

export type TreasuryParty = { readonly name: string; readonly party: string };

/** `admin` is the party that issues the instrument, `id` its name for it; (admin, id) is the instrument's identity. */
export type ConfiguredInstrument = { readonly name: string; readonly admin: string; readonly id: string };

/** `sha256` is the hash, in hex, of the key that a client sends: the key itself is nowhere in the configuration. */
export type ApiKey = { readonly name: string; readonly scopes: readonly string[]; readonly sha256: Secret };

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:\/[A-Za-z0-9._-]{1,64})?$/; // After a slash: which of a person's keys.
const SCOPE = /^[a-z][a-z0-9._-]*$/;
const SHA256 = /^[0-9a-f]{64}$/;
// A hint, `::`, and the fingerprint of the namespace (canton: com.digitalasset.canton.topology.UniqueIdentifier).
const PARTY = /^[A-Za-z0-9_-]{1,185}::[A-Za-z0-9]{1,68}$/;

/** A parser as a zod schema; `parse` returns the value, or what was expected instead. */
function text<T>(parse: (text: string) => { readonly value: T } | { readonly expected: string }): z.ZodType<T, string> {
  return z.string().transform((input, context) => {
    const result = parse(input);
    if ('value' in result) return result.value;
    context.addIssue({ code: 'custom', message: `expected ${result.expected}` });
    return z.NEVER;
  });
}

export function oneOf<const T extends string>(words: readonly T[]): z.ZodType<T, string> {
  return text((input) => {
    const value = words.find((word) => word === input);
    return value === undefined ? { expected: `one of ${words.join(', ')}` } : { value };
  });
}

export const name: z.ZodType<string, string> = text((input) =>
  NAME.test(input) ? { value: input } : { expected: 'a name of letters, digits, `.`, `_` and `-`, at most 64' },
);

export const secretText: z.ZodType<Secret, string> = text((input) => ({ value: createSecret(input) }));

/** 0–65535. */
export const port: z.ZodType<number, string> = text((input) =>
  /^\d{1,5}$/.test(input) && Number(input) <= 65_535 ? { value: Number(input) } : { expected: 'a port, 0–65535' },
);

export function wholeNumber(min: number, max: number): z.ZodType<number, string> {
  return text((input) => {
    const value = /^\d{1,9}$/.test(input) ? Number(input) : Number.NaN;
    return value >= min && value <= max ? { value } : { expected: `a whole number from ${min} to ${max}` };
  });
}

/** `on` is true. */
export const onOrOff: z.ZodType<boolean, string> = text((input) =>
  input === 'on' || input === 'off' ? { value: input === 'on' } : { expected: 'on or off' },
);

export const wordList: z.ZodType<readonly string[], string> = text((input) => {
  const value = entriesOf(input);
  return value.every((entry) => /^[!-~]{1,255}$/.test(entry)) ? { value } : { expected: 'words joined by commas' };
});

/** Each exactly as a browser sends it: scheme, host, and the port where it is not the scheme’s. */
export const origins: z.ZodType<readonly string[], string> = text((input) => {
  const value = entriesOf(input);
  return value.every((entry) => /^https?:/.test(entry) && URL.parse(entry)?.origin === entry)
    ? { value }
    : { expected: 'origins joined by commas, e.g. https://console.example, without a path' };
});

export const recordTime: z.ZodType<bigint, string> = text((input) => {
  try {
    return { value: parseRecordTime(input) };
  } catch {
    return { expected: 'a UTC time like 2026-11-22T00:00:00Z' };
  }
});

export const path: z.ZodType<string, string> = text((input) =>
  input.includes('\0') ? { expected: 'a path' } : { value: input },
);

export const host: z.ZodType<string, string> = text((input) =>
  /^[A-Za-z0-9.:-]+$/.test(input) ? { value: input } : { expected: 'a host name or an IP address, without a port' },
);

export const databaseUrl: z.ZodType<Secret, string> = text((input) => {
  const isPostgres = URL.canParse(input) && /^postgres(ql)?:$/.test(new URL(input).protocol);
  return isPostgres
    ? { value: createSecret(input) }
    : { expected: 'a URL, postgresql://user:password@host:port/database' };
});

/** gRPC addresses, canonical: scheme, host and port. One or more, in the order of preference. */
export const ledgerUrls: z.ZodType<readonly string[], string> = text((input) => {
  const expected =
    'a comma list of http://host:port, or https://host:port for TLS, each once and with nothing after the port';
  // URL drops the port that is the scheme's default, which gRPC must still be told.
  const urls = entriesOf(input).map((entry) => entry.replace(/\/$/, ''));
  const isValid =
    urls.length > 0 &&
    urls.every((url) => /^https?:\/\/[^/@]+:\d+$/.test(url) && URL.canParse(url)) &&
    isUnique(urls, (url) => url);
  return isValid ? { value: urls } : { expected };
});

export type SignerPlace =
  | { readonly kind: 'UNIX'; readonly path: string }
  | { readonly kind: 'TLS'; readonly host: string; readonly port: number };

/** `unix:/path/of/a/socket` or `https://host:port`. */
export const signerPlace: z.ZodType<SignerPlace, string> = text<SignerPlace>((input) => {
  const [, path] = /^unix:(\/[^\0]{1,100})$/.exec(input) ?? [];
  if (path !== undefined) return { value: { kind: 'UNIX', path } };
  const [, bracketed, plain, port] =
    /^https:\/\/(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})\/?$/.exec(input) ?? [];
  const host = bracketed ?? plain;
  return host !== undefined && Number(port) >= 1 && Number(port) <= 65_535
    ? { value: { kind: 'TLS', host, port: Number(port) } }
    : { expected: '`unix:/path` or `https://host:port`' };
});

/** Fingerprints of public keys. */
export const fingerprints: z.ZodType<readonly string[], string> = text((input) => {
  const entries = entriesOf(input);
  return entries.every((entry) => /^1220[0-9a-f]{64}$/.test(entry)) && isUnique(entries, (entry) => entry)
    ? { value: entries }
    : { expected: 'a comma list of fingerprints, `1220` and 64 hex digits' };
});

/** Ids of participants, `name::fingerprint`; in the order of something else, so one may be named twice. */
export const participantIds: z.ZodType<readonly string[], string> = text((input) => {
  const ids = entriesOf(input);
  return ids.every((id) => PARTY.test(id))
    ? { value: ids }
    : { expected: 'a comma list of participant ids, `name::fingerprint`' };
});

export const httpUrl: z.ZodType<string, string> = text((input) => {
  const url = URL.parse(input);
  const isValid = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  return isValid ? { value: input } : { expected: 'an http or https URL without credentials' };
});

/** Text that is passed on as it is. */
export const word: z.ZodType<string, string> = text((input) =>
  /^[\x20-\x7e]{1,500}$/.test(input) ? { value: input } : { expected: 'printable ASCII, at most 500 characters' },
);

export const treasuryParties: z.ZodType<readonly TreasuryParty[], string> = text((input) => {
  const expected =
    'a comma list of `party` or `name=party`, with names and parties used once; a party is `hint::fingerprint`';
  const parties = entriesOf(input).map((entry): TreasuryParty => {
    const separator = entry.indexOf('=');
    const party = entry.slice(separator + 1);
    return { name: separator === -1 ? (party.split('::')[0] ?? '') : entry.slice(0, separator), party };
  });
  const isValid =
    parties.length > 0 &&
    parties.every((party) => NAME.test(party.name) && PARTY.test(party.party)) &&
    isUnique(parties, (party) => party.name) &&
    isUnique(parties, (party) => party.party);
  return isValid ? { value: parties } : { expected };
});

export const instruments: z.ZodType<readonly ConfiguredInstrument[], string> = text((input) => {
  const expected =
    'a comma list of `name=admin/id`, with names and instruments used once; the admin is a party, `hint::fingerprint`';
  const instruments = entriesOf(input).map((entry): ConfiguredInstrument => {
    // Neither a name nor a party holds a `=` or a `/`; an id may.
    const [, name = '', admin = '', id = ''] = /^([^=]*)=([^/]*)\/(.*)$/.exec(entry) ?? [];
    return { name, admin, id };
  });
  const isValid =
    instruments.length > 0 &&
    instruments.every(
      (instrument) => NAME.test(instrument.name) && PARTY.test(instrument.admin) && instrument.id !== '',
    ) &&
    isUnique(instruments, (instrument) => instrument.name) &&
    isUnique(instruments, (instrument) => `${instrument.admin}/${instrument.id}`);
  return isValid ? { value: instruments } : { expected };
});

export const registries: z.ZodType<readonly ConfiguredRegistry[], string> = text((input) => {
  const expected =
    'a comma list of `admin=source` or `admin/id=source`, each once; the admin is a party, `hint::fingerprint`; a source is `url`, `rotate:url|url`, `quorum:url|url|url|url` or `proxy`';
  const registries = entriesOf(input).map((entry) => {
    // A party holds neither `=` nor `/`. An id may hold a `=`: what follows the last one before a source is the source.
    const [, admin = '', , id, source = ''] =
      /^([^=/]*)(\/(.+?))?=((?:rotate|quorum\d*|https?):.*|proxy)$/.exec(entry) ?? [];
    return { admin, instrumentId: id ?? null, source: parseReadSource(source) };
  });
  const isUsable = (entry: (typeof registries)[number]): entry is ConfiguredRegistry =>
    PARTY.test(entry.admin) && entry.source !== null;
  const isValid =
    registries.every(isUsable) &&
    isUnique(registries, ({ admin, instrumentId }) => JSON.stringify([admin, instrumentId]));
  return isValid ? { value: registries.filter(isUsable) } : { expected };
});

export const readSource: z.ZodType<ReadSource, string> = text((input) => {
  const source = parseReadSource(input);
  return source === null
    ? { expected: 'a `url`, `rotate:url|url`, `quorum:url|url|url|url` or `proxy`' }
    : { value: source };
});

/** What one person may decide alone: decimal text, by the instrument's configured name. */
export type DeskLimit = { readonly instrument: string; readonly amount: string };

export const deskLimits: z.ZodType<readonly DeskLimit[], string> = text((input) => {
  const expected = 'a comma list of `instrument=amount`, each instrument once; a decimal number, ten decimals at most';
  const limits = entriesOf(input).map((entry) => {
    const [, instrument = '', amount = ''] = /^([^=]*)=(\d{1,28}(?:\.\d{1,10})?)$/.exec(entry) ?? [];
    return { instrument, amount };
  });
  const isValid =
    limits.every(({ instrument, amount }) => NAME.test(instrument) && amount !== '') &&
    isUnique(limits, ({ instrument }) => instrument);
  return isValid ? { value: limits } : { expected };
});

/** A secret key and the name it goes by, which is no secret. */
export type NamedKey = { readonly id: string; readonly key: Secret };

/** The first is the one in use; `0` is the name of the key that is made from SLUICE_WITHDRAWAL_KEY. */
export const namedKeys: z.ZodType<readonly NamedKey[], string> = text((input) => {
  const keys = entriesOf(input).map((entry) => {
    const [, id = '', key = ''] = /^([A-Za-z0-9_-]{1,16})=([0-9a-f]{64})$/.exec(entry) ?? [];
    return { id, key };
  });
  const isValid = keys.every(({ id }) => id !== '' && id !== '0') && isUnique(keys, ({ id }) => id);
  return isValid
    ? { value: keys.map(({ id, key }) => ({ id, key: createSecret(key) })) }
    : {
        expected: 'a comma list of `name=key`, each name once and none of them `0`; a key is 64 lower-case hex digits',
      };
});

/** 32 bytes, as a key or a seed has. */
export const secretBytes32: z.ZodType<Secret, string> = text((input) =>
  SHA256.test(input) ? { value: createSecret(input) } : { expected: '64 lower-case hex digits' },
);

export const apiKeys: z.ZodType<readonly ApiKey[], string> = text((input) => {
  const expected =
    'a comma list of `name:scope+scope:sha256`, with names and keys used once; the hash is 64 lower-case hex digits';
  const keys = entriesOf(input).map((entry) => {
    const [name = '', scopes = '', sha256 = '', ...rest] = entry.split(':');
    return { name, scopes: scopes.split('+'), sha256, isComplete: rest.length === 0 };
  });
  const isValid =
    keys.every(
      (key) =>
        key.isComplete &&
        KEY_NAME.test(key.name) &&
        key.scopes.every((scope) => SCOPE.test(scope)) &&
        SHA256.test(key.sha256),
    ) &&
    isUnique(keys, (key) => key.name) &&
    isUnique(keys, (key) => key.sha256);
  return isValid
    ? { value: keys.map((key) => ({ name: key.name, scopes: key.scopes, sha256: createSecret(key.sha256) })) }
    : { expected };
});

export type Issuer = { readonly name: string; readonly url: string };

/** The name of a single issuer may be left out; it is '' then. */
export const issuers: z.ZodType<readonly Issuer[], string> = text((input) => {
  const value = entriesOf(input).map((entry): Issuer => {
    const [, name = '', url = ''] = /^(?:([A-Za-z0-9_-]{1,32})=)?(https?:.*)$/.exec(entry) ?? [];
    return { name, url };
  });
  const isValid =
    value.every(({ url }) => httpUrl.safeParse(url).success && !/[?#]/.test(url)) &&
    value.every(({ name }) => name !== '' || value.length === 1) &&
    isUnique(value, ({ name }) => name.toLowerCase()) &&
    isUnique(value, ({ url }) => url);
  return isValid
    ? { value }
    : { expected: 'a comma list of URL or name=URL, without query; several need names, each used once' };
});

/** What a text of an identity provider means here. */
export type RoleName = { readonly value: string; readonly role: string };

export const roleNames: z.ZodType<readonly RoleName[], string> = text((input) => {
  const value = entriesOf(input).map((entry): RoleName => {
    const [, name = '', role = ''] = /^([^=]{1,200})=([a-z]+)$/.exec(entry) ?? [];
    return { value: name, role };
  });
  const isValid = value.every((entry) => entry.value !== '') && isUnique(value, (entry) => entry.value);
  return isValid ? { value } : { expected: 'a comma list of value=role, with values used once' };
});

function entriesOf(list: string): readonly string[] {
  return list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function isUnique<T>(items: readonly T[], keyOf: (item: T) => string): boolean {
  return new Set(items.map(keyOf)).size === items.length;
}
