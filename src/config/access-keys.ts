/** Who may use the API: keys of the database, and tokens of an identity provider. The part of the environment's variables that says so. */
import { optional, withDefault } from './key.ts';
import * as values from './values.ts';

export const ACCESS_KEYS = {
  databaseKeys: withDefault('off', {
    variable: 'SLUICE_DATABASE_KEYS',
    type: 'on or off',
    meaning:
      'On: the API demands a credential although neither `SLUICE_API_KEYS` nor `SLUICE_OIDC_ISSUERS` is set, and keys made by `sluice key create` are taken. With one of those set they are taken anyway.',
    schema: values.onOrOff,
  }),
  oidcIssuers: withDefault('', {
    variable: 'SLUICE_OIDC_ISSUERS',
    type: 'comma list of URL, or name=URL',
    meaning:
      'Identity providers whose access tokens (JWT) are taken, each exactly as its tokens say in `iss`. With several each has a name, which stands before the names of its users: `staff=https://…` makes `staff.alice`. Needs the audience.',
    schema: values.issuers,
  }),
  oidcCustomerIssuers: withDefault('', {
    variable: 'SLUICE_OIDC_CUSTOMER_ISSUERS',
    type: 'comma list of names',
    meaning:
      'Those of `SLUICE_OIDC_ISSUERS`, by name, whose users are customers: whatever roles their tokens name, no other counts. One where customers register, or that others than your own staff run, belongs here.',
    schema: values.wordList,
  }),
  oidcAudience: optional({
    variable: 'SLUICE_OIDC_AUDIENCE',
    type: 'text',
    meaning: 'Who we are to the identity provider: a token has to be for this audience (`aud`).',
    schema: values.word,
  }),
  oidcKeysUrl: optional({
    variable: 'SLUICE_OIDC_KEYS_URL',
    type: 'http or https URL',
    meaning:
      'Where the keys of the one issuer are (JWKS). Unset: where `/.well-known/openid-configuration` of the issuer says.',
    schema: values.httpUrl,
  }),
  oidcTokenType: withDefault('at+jwt', {
    variable: 'SLUICE_OIDC_TOKEN_TYPE',
    type: 'at+jwt or JWT',
    meaning:
      'What a token has to say it is (`typ` of its header). `JWT` is for providers that write no other: then anything that looks like an ID token is refused by its claims.',
    schema: values.oneOf(['at+jwt', 'JWT']),
  }),
  oidcNameClaim: withDefault('sub', {
    variable: 'SLUICE_OIDC_NAME_CLAIM',
    type: 'name of a claim, dots for what lies deeper',
    meaning:
      'Who asks. It must be a name that nobody can choose for himself: it counts as the same person as an API key of that name, and owns its idempotency keys.',
    schema: values.word,
  }),
  oidcRolesClaim: withDefault('roles', {
    variable: 'SLUICE_OIDC_ROLES_CLAIM',
    type: 'name of a claim, dots for what lies deeper',
    meaning: 'What he may: a text or a list of texts. `realm_access.roles` for Keycloak.',
    schema: values.word,
  }),
  oidcRoles: withDefault('', {
    variable: 'SLUICE_OIDC_ROLES',
    type: 'comma list of value=role',
    meaning:
      'What those texts mean, e.g. `treasury-team=operator,retail=customer`. Empty: they are the names of our roles: customer, service, operator, approver, auditor, admin. Others mean nothing.',
    schema: values.roleNames,
  }),
  oidcAccountClaim: withDefault('account', {
    variable: 'SLUICE_OIDC_ACCOUNT_CLAIM',
    type: 'name of a claim, dots for what lies deeper',
    meaning: 'For customers: the exchange’s own name of the one account that the token may see.',
    schema: values.word,
  }),
  oidcTokenAgeSeconds: withDefault('3600', {
    variable: 'SLUICE_OIDC_TOKEN_AGE_SECONDS',
    type: '10–86400',
    unit: 'seconds',
    meaning: 'A token older than this (`iat`) is refused, whatever it says of its end.',
    schema: values.wholeNumber(10, 86_400),
  }),
  oidcKeysAgeSeconds: withDefault('300', {
    variable: 'SLUICE_OIDC_KEYS_AGE_SECONDS',
    type: '30–3600',
    unit: 'seconds',
    meaning: 'How often the keys of an issuer are fetched: a key that it took back is refused this much later at most.',
    schema: values.wholeNumber(30, 3_600),
  }),
  oidcKeysStaleSeconds: withDefault('14400', {
    variable: 'SLUICE_OIDC_KEYS_STALE_SECONDS',
    type: '60–604800',
    unit: 'seconds',
    meaning: 'How long known keys are still believed while their issuer cannot be reached. New ones are not.',
    schema: values.wholeNumber(60, 604_800),
  }),
  oidcPrivate: withDefault('refuse', {
    variable: 'SLUICE_OIDC_PRIVATE',
    type: 'refuse or allow',
    meaning:
      'Whether issuers may have loopback and private addresses and speak plain http. Link-local and metadata addresses are refused always.',
    schema: values.oneOf(['refuse', 'allow']),
  }),
} as const;
