/** Whether those whom we ask answer, and say what was pinned: registries, Scan, the signer. */
import type { FetchKeys } from '../auth/issuer-keys.ts';
import type { SigningKey } from '../custody/signing-key.ts';
import type { OpenRegistry } from '../directory/registry-access.ts';
import { differencesOf } from '../directory/token-look.ts';
import type { Token } from '../read/tokens.ts';
import type { ScanReads } from '../scan/scan-reads.ts';
import { type Finding, fail, looked, ok, warn } from './finding.ts';

/** One finding per token, at least. Nothing is written down. */
export async function checkRegistries(
  openRegistry: OpenRegistry,
  tokens: readonly Token[],
): Promise<readonly Finding[]> {
  const away = 'Deposits go on being credited; payouts of it wait. Is SLUICE_REGISTRIES right, and its server up?';
  const found = await Promise.all(
    tokens.map(async (token): Promise<readonly Finding[]> => {
      const { instrument, registry } = token;
      const subject = instrument.name;
      if (registry === null)
        return [
          warn(
            'registry',
            'it has no registry',
            'It cannot be paid out: SLUICE_REGISTRIES, or `sluice token`.',
            subject,
          ),
        ];
      return await looked(
        'registry',
        away,
        async () => {
          const asked = openRegistry({ admin: instrument.admin, id: instrument.instrumentId }, registry);
          const [adminId, metadata] = await Promise.all([asked.adminId(), asked.metadata()]);
          const differs = differencesOf(token, { adminId, metadata });
          if (differs.length === 0) return [ok('registry', 'it answers, and says what was pinned', subject)];
          const told = differs
            .map(({ field, pinned, found: now }) => `${field} was ${pinned} and is ${now}`)
            .join(', ');
          return [
            fail(
              'registry',
              told,
              'Nothing is taken over and it is not paid out. Ask its admin; then `sluice token`.',
              subject,
            ),
          ];
        },
        subject,
      );
    }),
  );
  return found.flat();
}

export async function checkScan(
  scan: ScanReads | null,
  instruments: readonly { readonly admin: string; readonly id: string }[],
): Promise<readonly Finding[]> {
  if (scan === null)
    return [
      warn(
        'scan',
        'neither a validator nor a Scan is configured',
        'Preapprovals of receivers and the participant’s traffic are not known: SLUICE_VALIDATOR_URL or SLUICE_SCAN.',
      ),
    ];
  const away =
    'Receivers’ preapprovals and our traffic are not known while it is away. Is its address right, and its token?';
  return await looked('scan', away, async () => {
    const dso = await scan.dsoParty();
    const coin = instruments.find(({ id }) => id === 'Amulet');
    return coin !== undefined && coin.admin !== dso
      ? [
          fail(
            'scan',
            'it names another admin of Canton Coin than SLUICE_INSTRUMENTS',
            'One of the two is of another network: compare them.',
          ),
        ]
      : [ok('scan', 'it answers, for the network of our instruments')];
  });
}

/** Identity providers whose tokens are taken. @param issuers each with what fetches its keys. */
export async function checkIssuers(
  issuers: readonly { readonly url: string; readonly fetchKeys: FetchKeys }[],
): Promise<readonly Finding[]> {
  const away =
    'Tokens with keys that are known go on being taken, for a while; new ones are not. Is its address right, and does it answer from here?';
  const found = await Promise.all(
    issuers.map(
      async ({ url, fetchKeys }) =>
        await looked(
          'issuer',
          away,
          async () => {
            const document = await fetchKeys(AbortSignal.timeout(ISSUER_MS_MAX));
            const isSet = typeof document === 'object' && document !== null && 'keys' in document;
            const keys = isSet && Array.isArray(document.keys) ? document.keys : [];
            return [
              keys.length > 0
                ? ok('issuer', `it has ${keys.length} keys`, url)
                : fail(
                    'issuer',
                    'it shows no keys',
                    'Nobody can prove who he is: look at its JWKS, or SLUICE_OIDC_KEYS_URL.',
                    url,
                  ),
            ];
          },
          url,
        ),
    ),
  );
  return found.flat();
}

const ISSUER_MS_MAX = 5_000;

export async function checkSigner(
  signer: { currentKey(signal?: AbortSignal): Promise<SigningKey> } | null,
  options: {
    readonly treasuries: readonly { readonly name: string; readonly party: string }[];
    /** Of keys that may sign for a party; null: the key is in this process, and the participant says by itself whether it is the right one. */
    readonly keysOf: ((party: string) => readonly string[]) | null;
  },
): Promise<readonly Finding[]> {
  if (signer === null) return [ok('signer', 'none is configured: this installation pays nothing out')];
  const away = 'Withdrawals queue, and nothing is lost. docs/runbooks/signer-away.md';
  return await looked('signer', away, async () => {
    const { fingerprint } = await signer.currentKey();
    const { keysOf } = options;
    if (keysOf === null)
      return [
        warn(
          'signer',
          'the key is in this process',
          'For development and tests only: `sluice signer`, and SLUICE_SIGNER_URL.',
        ),
      ];
    return options.treasuries.map(({ name, party }) =>
      keysOf(party).includes(fingerprint)
        ? ok('signer', 'it answers, with a key of the treasury', name)
        : fail(
            'signer',
            `its key ${fingerprint.slice(0, 16)}… is none of the treasury`,
            'What it signs is not sent. After a rotation name the new key in SLUICE_SIGNER_KEYS; otherwise it is the wrong signer.',
            name,
          ),
    );
  });
}
