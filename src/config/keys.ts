/**
 * Every environment variable that Sluice reads, each with its meaning: the loader, the faults and docs/configuration.md are all made from
 * this one list.
 */

import { ACCESS_KEYS } from './access-keys.ts';
import { FRESHNESS_KEYS } from './freshness-keys.ts';
import { type ConfigKey, optional, required, withDefault } from './key.ts';
import { LIMIT_KEYS } from './limit-keys.ts';
import { OPERATION_KEYS } from './operation-keys.ts';
import * as values from './values.ts';

export type { ConfigKey } from './key.ts';

export const CONFIG_KEYS = {
  databaseUrl: optional({
    variable: 'DATABASE_URL',
    type: 'postgresql://user:password@host:port/database',
    meaning: 'The PostgreSQL that keeps everything. Unset: an embedded one is started, below `SLUICE_DATA_DIR`.',
    isSecret: true,
    schema: values.databaseUrl,
  }),
  ledgerUrls: required({
    variable: 'SLUICE_LEDGER_URL',
    type: 'comma list of http://host:port or https://host:port',
    meaning:
      "The gRPC addresses of the Ledger API of the Canton participants that host the treasury parties, in the order of preference. `https` is TLS. When one fails the next of the same participant is used; another participant's when all of that one have failed for a while.",
    schema: values.ledgerUrls,
  }),
  ledgerParticipants: withDefault('', {
    variable: 'SLUICE_LEDGER_PARTICIPANTS',
    type: 'comma list of participant ids, one per URL',
    meaning:
      'Who the participants behind `SLUICE_LEDGER_URL` are, in the same order. Asking them is for administrators alone, which the user of our token should not be; unset, each goes by its URL.',
    schema: values.participantIds,
  }),
  ledgerToken: optional({
    variable: 'SLUICE_LEDGER_TOKEN',
    type: 'text',
    meaning: 'The bearer token (JWT) for the Ledger API. Unset: none is sent.',
    isSecret: true,
    schema: values.secretText,
  }),
  ledgerTokenFile: optional({
    variable: 'SLUICE_LEDGER_TOKEN_FILE',
    type: 'path',
    meaning:
      'A file with the bearer token instead, which is read again while we run: whoever keeps it fresh needs no restart.',
    schema: values.path,
  }),
  oauthUrl: optional({
    variable: 'SLUICE_LEDGER_OAUTH_URL',
    type: 'http or https URL',
    meaning:
      'The token endpoint of an identity provider that gives bearer tokens for the Ledger API by OAuth 2.0 client credentials. They are renewed before they expire. Needs the client id and secret.',
    schema: values.httpUrl,
  }),
  oauthClientId: optional({
    variable: 'SLUICE_LEDGER_OAUTH_CLIENT_ID',
    type: 'text',
    meaning: 'Who we are to the identity provider.',
    schema: values.word,
  }),
  oauthClientSecret: optional({
    variable: 'SLUICE_LEDGER_OAUTH_CLIENT_SECRET',
    type: 'text',
    meaning: 'How we prove it.',
    isSecret: true,
    schema: values.secretText,
  }),
  oauthAudience: optional({
    variable: 'SLUICE_LEDGER_OAUTH_AUDIENCE',
    type: 'text',
    meaning: 'The audience that the participant expects in a token. Unset: none is asked for.',
    schema: values.word,
  }),
  oauthScope: optional({
    variable: 'SLUICE_LEDGER_OAUTH_SCOPE',
    type: 'text',
    meaning: 'The scopes to ask for, separated by spaces. Unset: none.',
    schema: values.word,
  }),
  ledgerCallsInFlight: withDefault('32', {
    variable: 'SLUICE_LEDGER_CALLS_IN_FLIGHT',
    type: '1–1000',
    meaning: 'Calls to one participant endpoint at the same time. Streams of updates are not among them.',
    schema: values.wholeNumber(1, 1_000),
  }),
  ledgerCallsPerSecond: withDefault('200', {
    variable: 'SLUICE_LEDGER_CALLS_PER_SECOND',
    type: '1–10000',
    meaning: 'Calls to one participant endpoint in any second. The rest waits.',
    schema: values.wholeNumber(1, 10_000),
  }),
  ledgerSilenceSeconds: withDefault('75', {
    variable: 'SLUICE_LEDGER_SILENCE_SECONDS',
    type: '2–3600',
    unit: 'seconds',
    meaning:
      'A stream without any message for so long is given up and opened anew. A healthy participant sends a checkpoint at least every 75 seconds.',
    schema: values.wholeNumber(2, 3_600),
  }),
  ledgerSwitchSeconds: withDefault('30', {
    variable: 'SLUICE_LEDGER_SWITCH_SECONDS',
    type: '0–86400',
    unit: 'seconds',
    meaning: 'How long all endpoints of a participant must have failed before a stream goes on at another participant.',
    schema: values.wholeNumber(0, 86_400),
  }),
  reconnectTries: withDefault('40', {
    variable: 'SLUICE_RECONNECT_TRIES',
    type: '1–1000',
    meaning:
      'Tries to follow a stream, without progress, after which its worker says where it stands and ends, to begin again with fresh connections.',
    schema: values.wholeNumber(1, 1_000),
  }),
  reconnectDelayMs: withDefault('5000', {
    variable: 'SLUICE_RECONNECT_DELAY_MS',
    type: '100–600000',
    unit: 'milliseconds',
    meaning: 'The longest wait between two tries. The first waits a tenth of a second, each further one twice as long.',
    schema: values.wholeNumber(100, 600_000),
  }),
  batchUpdates: withDefault('500', {
    variable: 'SLUICE_BATCH_UPDATES',
    type: '1–5000',
    meaning: 'Updates stored in one transaction at most. At the head of the ledger a batch is what there is.',
    schema: values.wholeNumber(1, 5_000),
  }),
  leaseSeconds: withDefault('3', {
    variable: 'SLUICE_LEASE_SECONDS',
    type: '2–300',
    unit: 'seconds',
    meaning:
      'How long a process that stands still, or cannot reach the database, keeps the streams it had, at most; one that has ended keeps none. Processes that share a database share the streams of the treasury parties.',
    schema: values.wholeNumber(2, 300),
  }),
  network: required({
    variable: 'SLUICE_NETWORK',
    type: 'name',
    meaning:
      'The network that the participant belongs to, as it shall be called in the database and the API, e.g. `mainnet`.',
    schema: values.name,
  }),
  treasuryParties: required({
    variable: 'SLUICE_TREASURY_PARTIES',
    type: 'comma list of `party` or `name=party`',
    meaning:
      "The exchange's own parties, each with a stream of its own. Without a name the part before `::` is the name.",
    schema: values.treasuryParties,
  }),
  instruments: required({
    variable: 'SLUICE_INSTRUMENTS',
    type: 'comma list of `name=admin/id`',
    meaning: 'The instruments whose deposits are credited. Others are recorded and shown, and credit nobody.',
    schema: values.instruments,
  }),
  openingAt: optional({
    variable: 'SLUICE_OPENING_AT',
    type: '`2026-11-22T00:00:00Z`, to the microsecond',
    meaning:
      'For an exchange that runs already: what a treasury party held at this record time is its opening balance, and only what comes later is a deposit. Heeded when the party is first followed, never after. Unset: from the beginning of what the participant has.',
    schema: values.recordTime,
  }),
  registries: withDefault('', {
    variable: 'SLUICE_REGISTRIES',
    type: 'comma list of `admin=source` or `admin/id=source`',
    meaning:
      'Where the token registry of an instrument admin (or of one instrument) is read. A source is a `url`; `rotate:url|url`: one instance at random, another one after a failure; `quorum:url|url|url|url`: all of them at once, believed where all but a third agree (`quorum1:` says how many may be wrong); or `proxy`: the Scan proxy of `SLUICE_VALIDATOR_URL`.',
    schema: values.registries,
  }),
  registryPrivate: withDefault('refuse', {
    variable: 'SLUICE_REGISTRY_PRIVATE',
    type: 'refuse or allow',
    meaning:
      'Whether registries and Scans may have loopback and private addresses and speak plain http. Link-local and metadata addresses are refused always; the validator, which is yours, may be anywhere else.',
    schema: values.oneOf(['refuse', 'allow']),
  }),
  registryCallsPerSecond: withDefault('20', {
    variable: 'SLUICE_REGISTRY_CALLS_PER_SECOND',
    type: '1–1000',
    meaning:
      'Calls to one registry or Scan instance in a second, in the long run; twice as many at once. The rest waits.',
    schema: values.wholeNumber(1, 1_000),
  }),
  scan: optional({
    variable: 'SLUICE_SCAN',
    type: 'a source, as in `SLUICE_REGISTRIES`',
    meaning:
      'Where preapprovals and the DSO are looked up: Scan instances (`https://scan.example/api/scan`) or `proxy`. Unset: the proxy, where there is a validator.',
    schema: values.readSource,
  }),
  validatorUrl: optional({
    variable: 'SLUICE_VALIDATOR_URL',
    type: 'http or https URL',
    meaning: 'The API of your own validator, e.g. `https://validator.example/api/validator`, for its Scan proxy.',
    schema: values.httpUrl,
  }),
  validatorToken: optional({
    variable: 'SLUICE_VALIDATOR_TOKEN',
    type: 'text',
    meaning: 'The bearer token (JWT) for the validator; sent to no other server. Unset: none is sent.',
    isSecret: true,
    schema: values.secretText,
  }),
  validatorTokenFile: optional({
    variable: 'SLUICE_VALIDATOR_TOKEN_FILE',
    type: 'path',
    meaning:
      'A file with the bearer token instead, which is read again while we run: whoever keeps it fresh needs no restart.',
    schema: values.path,
  }),
  withdrawalKey: optional({
    variable: 'SLUICE_WITHDRAWAL_KEY',
    type: '32 bytes in hex',
    meaning:
      'Keys the ids of withdrawals. Never change it: a retried request is recognised by its id. Unset: withdrawals are off.',
    isSecret: true,
    schema: values.secretBytes32,
  }),
  withdrawalOrigin: withDefault('on', {
    variable: 'SLUICE_WITHDRAWAL_ORIGIN',
    type: 'on or off',
    meaning:
      'Whether account, client and idempotency key travel with each payment, encrypted, so that a withdrawal that a restored database has lost can be made anew from the ledger: about 230 characters of metadata, 2,000 at most.',
    schema: values.oneOf(['on', 'off']),
  }),
  withdrawalOriginKeys: withDefault('', {
    variable: 'SLUICE_WITHDRAWAL_ORIGIN_KEYS',
    type: 'comma list of `name=32 bytes in hex`',
    meaning:
      'The keys that this is encrypted with: the first one encrypts, all of them decrypt. Keep old ones as long as their payments may have to be read. Empty: a key made from `SLUICE_WITHDRAWAL_KEY`, which decrypts in any case.',
    isSecret: true,
    schema: values.namedKeys,
  }),
  restoreMarginSeconds: withDefault('60', {
    variable: 'SLUICE_RESTORE_MARGIN_SECONDS',
    type: '0–86400',
    unit: 'seconds',
    meaning:
      'After the database went back in time nothing is requested or signed until the ledger has passed the moment it was noticed, the longest time an attempt may commit, and this: by how much our clock may be behind the ledger’s. When it is further behind than that, nothing is paid.',
    schema: values.wholeNumber(0, 86_400),
  }),
  signerSeed: optional({
    variable: 'SLUICE_DEV_SIGNER_SEED',
    type: '32 bytes in hex',
    meaning:
      'The Ed25519 seed of the treasury parties, for development and tests only: the key lives in this process. Unset: withdrawals are off.',
    isSecret: true,
    schema: values.secretBytes32,
  }),
  signer: optional({
    variable: 'SLUICE_SIGNER_URL',
    type: '`unix:/path` or `https://host:port`',
    meaning:
      'The signer that holds the key of the treasury parties (docs/guides/signers.md): a process of its own, reached over a unix socket or mutual TLS. Then no key is in this process, and while the signer is away nothing is signed.',
    schema: values.signerPlace,
  }),
  signerCert: optional({
    variable: 'SLUICE_SIGNER_TLS_CERT',
    type: 'path',
    meaning: 'Our certificate for the signer (PEM), where it is reached by `https`.',
    schema: values.path,
  }),
  signerCertKey: optional({
    variable: 'SLUICE_SIGNER_TLS_KEY',
    type: 'path',
    meaning: 'The key of that certificate (PEM). It signs nothing but the connection.',
    schema: values.path,
  }),
  signerCa: optional({
    variable: 'SLUICE_SIGNER_TLS_CA',
    type: 'path',
    meaning: 'The authority that the signer’s own certificate is of (PEM). No other is believed.',
    schema: values.path,
  }),
  signerKeys: withDefault('', {
    variable: 'SLUICE_SIGNER_KEYS',
    type: 'comma list of fingerprints',
    meaning:
      'Public keys that are registered on the ledger for the treasury parties beside the one that their ids end in: after a rotation, the new one. A signature by any other key is not sent.',
    schema: values.fingerprints,
  }),
  withdrawalTtlSeconds: withDefault('60', {
    variable: 'SLUICE_WITHDRAWAL_TTL_SECONDS',
    type: '5–86400',
    unit: 'seconds',
    meaning:
      'How long, by the time of the ledger, an attempt to pay may still commit. Its failure is certain soon after.',
    schema: values.wholeNumber(5, 86_400),
  }),
  withdrawalAttempts: withDefault('3', {
    variable: 'SLUICE_WITHDRAWAL_ATTEMPTS',
    type: '1–100',
    meaning: 'Attempts per withdrawal. When the last one is proven dead, the withdrawal fails.',
    schema: values.wholeNumber(1, 100),
  }),
  submissionsPerSecond: withDefault('100', {
    variable: 'SLUICE_SUBMISSIONS_PER_SECOND',
    type: '1–10000',
    meaning:
      'Submissions of one treasury party to the ledger in a second, in the long run; twice as many at once. The rest waits. Withdrawals go first.',
    schema: values.wholeNumber(1, 10_000),
  }),
  trafficReserveBytes: withDefault('200000', {
    variable: 'SLUICE_TRAFFIC_RESERVE_BYTES',
    type: '0–1000000000000',
    unit: 'bytes',
    meaning:
      'Extra traffic of the participant that is left for others, such as the validator that buys more: below it nothing is submitted. Only where Scan or its proxy can be asked, and extra traffic was bought.',
    schema: values.wholeNumber(0, 1_000_000_000_000),
  }),
  preflightsPerSecond: withDefault('10', {
    variable: 'SLUICE_PREFLIGHTS_PER_SECOND',
    type: '0–1000',
    meaning:
      'For how many looks ahead (`withdrawalPreflight`) a second registries, Scan and the participant are asked, in the long run; twice as many at once. Beyond that the look ahead says what the database knows. 0: nobody is asked.',
    schema: values.wholeNumber(0, 1_000),
  }),
  offerTries: withDefault('5', {
    variable: 'SLUICE_OFFER_TRIES',
    type: '1–100',
    meaning:
      'Attempts to accept an offer that the offer itself makes fail. Then it is parked until a person looks at it. What fails because a registry, the participant or the signer is away only waits.',
    schema: values.wholeNumber(1, 100),
  }),
  offerBackoffSeconds: withDefault('15', {
    variable: 'SLUICE_OFFER_BACKOFF_SECONDS',
    type: '1–3600',
    unit: 'seconds',
    meaning:
      'The wait after the first attempt to accept an offer that came to nothing. It doubles each time, up to an hour.',
    schema: values.wholeNumber(1, 3_600),
  }),
  offerTriesPerHour: withDefault('600', {
    variable: 'SLUICE_OFFER_TRIES_PER_HOUR',
    type: '0–1000000',
    meaning:
      'How many tries to accept or reject offers a treasury party spends in an hour, each of which may cost the traffic of one transaction. The rest wait. 0: no offer is accepted.',
    schema: values.wholeNumber(0, 1_000_000),
  }),
  offerTriesPerInstrumentHour: withDefault('300', {
    variable: 'SLUICE_OFFER_TRIES_PER_INSTRUMENT_HOUR',
    type: '0–1000000',
    meaning: 'Of these, how many may be spent on one instrument.',
    schema: values.wholeNumber(0, 1_000_000),
  }),
  offerTriesPerSenderHour: withDefault('30', {
    variable: 'SLUICE_OFFER_TRIES_PER_SENDER_HOUR',
    type: '0–1000000',
    meaning:
      'Of these, how many may be spent on one sender, and on one deposit account: who floods his own account holds up nobody else.',
    schema: values.wholeNumber(0, 1_000_000),
  }),
  ledgerUser: withDefault('sluice', {
    variable: 'SLUICE_LEDGER_USER',
    type: 'name',
    meaning: 'The Ledger API user in whose name transactions are submitted.',
    schema: values.name,
  }),
  verifySeconds: withDefault('45', {
    variable: 'SLUICE_VERIFY_SECONDS',
    type: '1–86400',
    unit: 'seconds',
    meaning:
      "How often books and holdings are compared with the participant's active contracts. A difference freezes payouts of its instrument.",
    schema: values.wholeNumber(1, 86_400),
  }),
  screeningUrl: optional({
    variable: 'SLUICE_SCREENING_URL',
    type: 'http or https URL',
    meaning:
      'The screening service that every deposit is shown to before it is credited (docs/guides/deposits.md). Without its leave a deposit stays held and an offer is not accepted. Every worker needs it; what only answers requests does not. Needs `SLUICE_SCREENING_SECRET`. Unset: nothing is screened.',
    schema: values.httpUrl,
  }),
  screeningSecret: optional({
    variable: 'SLUICE_SCREENING_SECRET',
    type: '32 bytes in hex',
    meaning: 'Signs questions to the screening service, and its answers.',
    isSecret: true,
    schema: values.secretBytes32,
  }),
  depositScreening: optional({
    variable: 'SLUICE_DEPOSIT_SCREENING',
    type: 'on or off',
    meaning:
      'Whether deposits wait for the screening service. Decided in the database by the first worker; one that is told otherwise does not start. To change it: `sluice screening switch`. `off` with `SLUICE_SCREENING_URL`: the service is asked about withdrawals, and about deposits that waited already. Unset: on where `SLUICE_SCREENING_URL` is set.',
    schema: values.oneOf(['on', 'off']),
  }),
  screeningTries: withDefault('20', {
    variable: 'SLUICE_SCREENING_TRIES',
    type: '1–1000',
    meaning:
      'Questions in a row without an answer about one deposit, from a second to five minutes apart. Then it stays held until a person has it asked again.',
    schema: values.wholeNumber(1, 1_000),
  }),
  deskLimits: withDefault('', {
    variable: 'SLUICE_DESK_LIMITS',
    type: 'comma list of `instrument=amount`',
    meaning:
      'Up to which amount one person alone may assign a deposit that names nobody, or send it back, by the names of `SLUICE_INSTRUMENTS`. Above it, and for every instrument that is not named, a second person approves.',
    schema: values.deskLimits,
  }),
  host: withDefault('127.0.0.1', {
    variable: 'SLUICE_HOST',
    type: 'host name or IP address',
    meaning: 'Where the server listens. Anything but loopback needs `SLUICE_API_KEYS`.',
    schema: values.host,
  }),
  port: withDefault('4000', {
    variable: 'SLUICE_PORT',
    type: '0–65535',
    unit: 'TCP port',
    meaning: 'Where the server listens. 0 takes any free port and prints it.',
    schema: values.port,
  }),
  apiKeys: withDefault('', {
    variable: 'SLUICE_API_KEYS',
    type: 'comma list of `name:scope+scope:sha256`',
    meaning:
      'Who may use the API: a name, its scopes, and the SHA-256 (hex) of its key. `alice/laptop` and `alice/phone` are keys of one person, who counts once where two people have to agree. Empty, and neither `SLUICE_OIDC_ISSUERS` nor `SLUICE_DATABASE_KEYS` set: named development principals, on loopback only (docs/guides/access.md).',
    isSecret: true,
    schema: values.apiKeys,
  }),
  ...ACCESS_KEYS,
  ...LIMIT_KEYS,
  ...FRESHNESS_KEYS,
  ...OPERATION_KEYS,
  logLevel: withDefault('info', {
    variable: 'SLUICE_LOG_LEVEL',
    type: 'debug, info, warn, error or silent',
    meaning: 'Lines below it are not written.',
    schema: values.oneOf(['debug', 'info', 'warn', 'error', 'silent']),
  }),
  role: withDefault('all', {
    variable: 'SLUICE_ROLE',
    type: 'all, api or worker',
    meaning:
      'What this process does: answer requests (`api`), follow the ledger (`worker`), or both. More than one process needs `DATABASE_URL`.',
    schema: values.oneOf(['all', 'api', 'worker']),
  }),
  customerBooks: withDefault('external', {
    variable: 'SLUICE_CUSTOMER_BOOKS',
    type: 'external or internal',
    meaning:
      'Who keeps the balances of customers: the exchange (`external`), or Sluice, which then refuses whoever has too little (`internal`). Decided in the database by the first process; one that is told otherwise does not start. To change it: `sluice books switch`.',
    schema: values.oneOf(['external', 'internal']),
  }),
  anchorFile: optional({
    variable: 'SLUICE_ANCHOR_FILE',
    type: 'path',
    meaning:
      'A file of this process, on a disk that is not restored together with the database, that keeps the last it saw of the event log: so it is noticed when the files of the database are put back. Unset: only what PostgreSQL tells by itself is noticed, a restore to a point in time, from a dump, or a failover.',
    schema: values.path,
  }),
  dataDir: optional({
    variable: 'SLUICE_DATA_DIR',
    type: 'path',
    meaning:
      'Where an embedded PostgreSQL keeps its data, absolute or relative to the working directory. Unset: `.sluice` in the project.',
    schema: values.path,
  }),
} as const satisfies Record<string, ConfigKey>;
