/** What a treasury operator decides about tokens. Every decision is kept with the principal's name and reason. */
import type { ReadSource } from '../config/read-source.ts';
import { TokenRefusal, TokenRegistrySilent } from '../directory/token-refusal.ts';
import type { Token, TokenKey, TokenPolicy } from '../read/tokens.ts';
import { formatAmount } from '../tokens/amount.ts';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-interface.ts';
import { instrumentOfId } from './instrument.ts';
import { ReadStrategyEnum, TokenImplementationEnum, TokenRef } from './token.ts';

builder.objectType(TokenRefusal, {
  name: 'TokenRefusedError',
  description:
    'The directory refuses. Codes `TOKEN_EXISTS`, `TOKEN_UNKNOWN`, `TOKEN_INPUT_INVALID`, `TOKEN_CHANGED_MEANWHILE`, `TOKEN_REGISTRY_OF_ANOTHER_ADMIN`, `TOKEN_UNKNOWN_TO_REGISTRY`, `TOKEN_NOT_READY`. Scope: `operate`. Since 0.1.',
  authScopes: { operate: true },
  interfaces: [ErrorInterface],
  fields: (t) => ({
    field: t.exposeString('field', {
      nullable: true,
      description: 'Which part of the input; null: none of it. Scope: `operate`. Since 0.1.',
    }),
  }),
});

builder.objectType(TokenRegistrySilent, {
  name: 'TokenRegistrySilentError',
  description:
    'The registry gave no answer that could be used. Code `TOKEN_REGISTRY_SILENT`. Scope: `operate`. Since 0.1.',
  authScopes: { operate: true },
  interfaces: [ErrorInterface],
});

const TokenPayloadRef = builder.objectRef<{ readonly token: Token }>('TokenPayload').implement({
  description: 'The entry as it is now. Scope: `operate`. Since 0.1.',
  authScopes: { operate: true },
  fields: (t) => ({
    token: t.field({
      type: TokenRef,
      description: 'As it is now. Scopes: `operate` and `read`. Since 0.1.',
      resolve: ({ token }) => token,
    }),
  }),
});

const RegistryInput = builder.inputType('TokenRegistryInput', {
  description: 'Where a registry is read. Since 0.1.',
  fields: (t) => ({
    strategy: t.field({ type: ReadStrategyEnum, required: true, description: 'How it is read.' }),
    urls: t.stringList({ description: 'http or https, without credentials. None for `PROXY`.' }),
    faultsMax: t.int({ description: 'Of a `QUORUM`: how many may be wrong. Null: fewer than a third.' }),
  }),
});

const PolicyInput = builder.inputType('TokenPolicyInput', {
  description: 'What is done with a token. What is left out stays as it is, or gets its default. Since 0.1.',
  fields: (t) => ({
    creditsDeposits: t.boolean({ description: 'Credit deposits with a known memo. Default: yes.' }),
    acceptsOffers: t.boolean({ description: 'Accept offers to known deposit accounts. Default: yes.' }),
    depositMin: t.field({
      type: 'Decimal',
      description: 'Leave offers below it alone, in units of the instrument. Default: 0.',
    }),
    paysDirect: t.boolean({ description: 'Pay receivers with a preapproval at once. Default: yes.' }),
    paysOffers: t.boolean({
      description: 'Make others an offer, which locks the money until they accept. Default: no.',
    }),
    offerValiditySeconds: t.int({
      description: 'Seconds, 60 to 31536000; of Canton Coin at most 7776000. Default: 604800.',
    }),
    returnFee: t.field({
      type: 'Decimal',
      description:
        'Kept from the customer when an offer of ours comes back, in units of the instrument; at most what he asked for. Default: 0.',
    }),
  }),
});

const AddTokenInput = builder.inputType('AddTokenInput', {
  description: 'Which token, where its registry is, and what is to be done with it. Since 0.1.',
  fields: (t) => ({
    network: t.string({ required: true, description: 'Name of the Canton network.' }),
    admin: t.string({ required: true, description: 'Party id of the admin.' }),
    instrumentId: t.string({ required: true, description: 'The id the admin gave it.' }),
    name: t.string({ required: true, description: 'Ours, for people.' }),
    registry: t.field({ type: RegistryInput, description: 'Null: as other tokens of the same admin have it.' }),
    implementation: t.field({
      type: TokenImplementationEnum,
      description: 'Whose contracts move it. Null: Canton Coin by its id, anything else by what the standard promises.',
    }),
    packages: t.stringList({ description: 'Names of packages that hosts need beyond those of the standard.' }),
    policy: t.field({ type: PolicyInput, description: 'Null: the defaults.' }),
    why: t.string({ required: true, description: 'For those who come after you; kept for ever.' }),
  }),
});

const TokenInput = builder.inputType('TokenInput', {
  description: 'Which token, and why. Since 0.1.',
  fields: (t) => ({
    instrument: t.id({ required: true, description: 'Global id of its `Instrument`.' }),
    why: t.string({ required: true, description: 'For those who come after you; kept for ever.' }),
  }),
});

const SetTokenPolicyInput = builder.inputType('SetTokenPolicyInput', {
  description: 'What of the policy is to change. Since 0.1.',
  fields: (t) => ({
    instrument: t.id({ required: true, description: 'Global id of its `Instrument`.' }),
    version: t.int({ required: true, description: 'As you read it: a change of somebody else’s is not overwritten.' }),
    policy: t.field({ type: PolicyInput, required: true, description: 'What changes.' }),
    why: t.string({ required: true, description: 'For those who come after you; kept for ever.' }),
  }),
});

const SetTokenImplementationInput = builder.inputType('SetTokenImplementationInput', {
  description: 'Whose contracts move a token. Since 0.1.',
  fields: (t) => ({
    instrument: t.id({ required: true, description: 'Global id of its `Instrument`.' }),
    implementation: t.field({
      type: TokenImplementationEnum,
      required: true,
      description: 'By its rules what is signed of the token is judged from now on.',
    }),
    why: t.string({ required: true, description: 'For those who come after you; kept for ever.' }),
  }),
});

const SetTokenRegistryInput = builder.inputType('SetTokenRegistryInput', {
  description: 'Where the registry of a token’s admin is read from now on. Since 0.1.',
  fields: (t) => ({
    instrument: t.id({ required: true, description: 'Global id of its `Instrument`.' }),
    registry: t.field({ type: RegistryInput, required: true, description: 'For every token of the admin.' }),
    why: t.string({ required: true, description: 'For those who come after you; kept for ever.' }),
  }),
});

const REFUSALS = [TokenRefusal, TokenRegistrySilent];
// Both: whoever may not read the answer would have changed something and been told that it was forbidden.
const SCOPES = { $all: { operate: true, read: true } } as const;
const NEEDS = 'Scopes: `operate` and `read`. Since 0.1.';
const outcome = (name: string) => ({
  types: REFUSALS,
  union: { name, description: 'The entry, or why nothing was changed. Scope: `operate`. Since 0.1.' },
});

builder.mutationFields((t) => ({
  addToken: t.field({
    type: TokenPayloadRef,
    description: `Asks the registry, pins what it says, and adds the token: frozen, until \`enableToken\`. ${NEEDS}`,
    authScopes: SCOPES,
    args: { input: t.arg({ type: AddTokenInput, required: true, description: 'Which one.' }) },
    errors: outcome('AddTokenResult'),
    resolve: async (_root, { input }, { tokens, principal }) => {
      const { network, admin, instrumentId, name, registry, implementation, packages, policy, why } = input;
      const wanted = {
        network,
        admin,
        instrumentId,
        name,
        registry: registry == null ? null : sourceOf(registry),
        implementation: implementation ?? null,
        packages: packages ?? [],
        policy: policyOf(policy ?? {}),
      };
      return { token: await tokens.add(wanted, { by: principal.name, why }) };
    },
  }),
  setTokenPolicy: t.field({
    type: TokenPayloadRef,
    description: `Changes what is done with a token. ${NEEDS}`,
    authScopes: SCOPES,
    args: { input: t.arg({ type: SetTokenPolicyInput, required: true, description: 'What changes.' }) },
    errors: outcome('SetTokenPolicyResult'),
    resolve: async (_root, { input }, { tokens, principal }) => {
      const { instrument, version, policy, why } = input;
      const decision = { by: principal.name, why };
      return { token: await tokens.setPolicy(keyOf(instrument), version, policyOf(policy), decision) };
    },
  }),
  setTokenRegistry: t.field({
    type: TokenPayloadRef,
    description: `Reads the registry of the token’s admin elsewhere from now on; asked first, and refused where another admin answers. ${NEEDS}`,
    authScopes: SCOPES,
    args: { input: t.arg({ type: SetTokenRegistryInput, required: true, description: 'Where.' }) },
    errors: outcome('SetTokenRegistryResult'),
    resolve: async (_root, { input: { instrument, registry, why } }, { tokens, principal }) => ({
      token: await tokens.setRegistry(keyOf(instrument), sourceOf(registry), { by: principal.name, why }),
    }),
  }),
  setTokenImplementation: t.field({
    type: TokenPayloadRef,
    description: `Judges what is signed of a token by the rules of that implementation from now on, and demands its packages of every host. Only while the token is frozen: nothing may be under way that was judged by others. ${NEEDS}`,
    authScopes: SCOPES,
    args: { input: t.arg({ type: SetTokenImplementationInput, required: true, description: 'Whose.' }) },
    errors: outcome('SetTokenImplementationResult'),
    resolve: async (_root, { input: { instrument, implementation, why } }, { tokens, principal }) => ({
      token: await tokens.setImplementation(keyOf(instrument), implementation, { by: principal.name, why }),
    }),
  }),
  pinToken: t.field({
    type: TokenPayloadRef,
    description: `Takes what the registry says of the token now as what holds: for when it has changed, and somebody has made sure why. ${NEEDS}`,
    authScopes: SCOPES,
    args: { input: t.arg({ type: TokenInput, required: true, description: 'Which one.' }) },
    errors: outcome('PinTokenResult'),
    resolve: async (_root, { input: { instrument, why } }, { tokens, principal }) => ({
      token: await tokens.pin(keyOf(instrument), { by: principal.name, why }),
    }),
  }),
  freezeToken: t.field({
    type: TokenPayloadRef,
    description: `Stops whatever of it would be reserved or signed, for every treasury. Harmless when repeated. ${NEEDS}`,
    authScopes: SCOPES,
    args: { input: t.arg({ type: TokenInput, required: true, description: 'Which one.' }) },
    errors: outcome('FreezeTokenResult'),
    resolve: async (_root, { input: { instrument, why } }, { tokens, principal }) => ({
      token: await tokens.freeze(keyOf(instrument), { by: principal.name, why }),
    }),
  }),
  enableToken: t.field({
    type: TokenPayloadRef,
    description: `Lets it move again, unless another freeze covers it. Refused while its registry differs from what was pinned or a host lacks a package. ${NEEDS}`,
    authScopes: SCOPES,
    args: { input: t.arg({ type: TokenInput, required: true, description: 'Which one.' }) },
    errors: outcome('EnableTokenResult'),
    resolve: async (_root, { input: { instrument, why } }, { tokens, principal }) => ({
      token: await tokens.enable(keyOf(instrument), { by: principal.name, why }),
    }),
  }),
}));

/** @throws GraphQLError ID_INVALID. */
function keyOf(instrument: string): TokenKey {
  const key = instrumentOfId(instrument);
  if (key === null) throw new TokenRefusal('TOKEN_UNKNOWN', 'No instrument was named.', 'instrument');
  return key;
}

function sourceOf({ strategy, urls, faultsMax }: typeof RegistryInput.$inferInput): ReadSource {
  const servers = urls ?? [];
  switch (strategy) {
    case 'PROXY':
      return { strategy: 'proxy' };
    case 'ROTATE':
      return { strategy: 'rotate', urls: servers };
    case 'QUORUM':
      return { strategy: 'quorum', urls: servers, faultsMax: faultsMax ?? Math.floor((servers.length - 1) / 3) };
  }
}

function policyOf({ depositMin, returnFee, ...rest }: typeof PolicyInput.$inferInput): Partial<TokenPolicy> {
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value != null));
  return {
    ...given,
    ...(depositMin == null ? {} : { depositMin: formatAmount(depositMin) }),
    ...(returnFee == null ? {} : { returnFee: formatAmount(returnFee) }),
  };
}
