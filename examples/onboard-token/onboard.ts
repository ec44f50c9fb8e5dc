/**
 * Takes a token on: add it frozen, look at what its registry and the hosts say, set its policy, let it move.
 *
 *     npx node examples/onboard-token/onboard.ts NOTE-A --deposit-min 0.01
 *
 * Harmless when run again: each step finds what an earlier run has done. Exit code 1: the token is not enabled, and the reason was printed.
 */
import { parseArgs } from 'node:util';
import { createSluiceClient, graphql, type ResultOf } from '../../client/src/client.ts';

const TOKEN = graphql(`
  fragment OnboardedToken on Token {
    instrument { id admin instrumentId }
    isFrozen
    version
    pinned { name symbol decimals }
    registryDiffers { field pinned found }
    registryTrouble
    packages
    packagesMissing { treasury package why }
    packagesTrouble
    creditsDeposits
    acceptsOffers
    depositMin
    paysDirect
    paysOffers
  }
`);
const FIND = graphql(
  `query FindInstrument($after: String) {
    instruments(first: 100, after: $after) {
      nodes { id admin instrumentId network token { ...OnboardedToken } }
      pageInfo { hasNextPage endCursor }
    }
  }`,
  [TOKEN],
);
const ADD = graphql(
  `mutation AddToken($input: AddTokenInput!) {
    addToken(input: $input) {
      __typename
      ... on TokenPayload { token { ...OnboardedToken } }
      ... on Error { code message why fix retryable }
    }
  }`,
  [TOKEN],
);
const SET_POLICY = graphql(
  `mutation SetTokenPolicy($input: SetTokenPolicyInput!) {
    setTokenPolicy(input: $input) {
      __typename
      ... on TokenPayload { token { ...OnboardedToken } }
      ... on Error { code message why fix retryable }
    }
  }`,
  [TOKEN],
);
const ENABLE = graphql(
  `mutation EnableToken($input: TokenInput!) {
    enableToken(input: $input) {
      __typename
      ... on TokenPayload { token { ...OnboardedToken } }
      ... on Error { code message why fix retryable }
    }
  }`,
  [TOKEN],
);

type Token = ResultOf<typeof TOKEN>;
type Refusal = { readonly code: string; readonly message: string; readonly why: string; readonly fix: string };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    admin: { type: 'string' },
    name: { type: 'string' },
    registry: { type: 'string' },
    'deposit-min': { type: 'string', default: '0' },
    'pay-offers': { type: 'boolean', default: false },
    why: { type: 'string', default: 'customers ask for it' },
  },
});
const [instrumentId] = positionals;
const { SLUICE_URL = 'http://127.0.0.1:4000/graphql', SLUICE_TOKEN } = process.env;
const client = createSluiceClient({ url: SLUICE_URL, ...(SLUICE_TOKEN === undefined ? {} : { token: SLUICE_TOKEN }) });

/** Ends the script as its reader needs it. */
class Stopped extends Error {}

async function onboard(id: string): Promise<void> {
  const { why } = values;
  const found = await find(id);

  step('Add');
  let token = found.token ?? (await add(found));

  step('Look');
  look(token);

  step('Policy');
  const policy = { depositMin: values['deposit-min'], paysOffers: values['pay-offers'] };
  const instrument = token.instrument.id;
  const set = await client.mutate(SET_POLICY, { input: { instrument, version: token.version, policy, why } });
  // Somebody else may have decided in the meantime (TOKEN_CHANGED_MEANWHILE): nothing of his is overwritten.
  if (set.setTokenPolicy.__typename !== 'TokenPayload') throw refused('The policy was not set', set.setTokenPolicy);
  token = set.setTokenPolicy.token;
  say(
    `deposits are ${token.creditsDeposits ? 'credited' : 'left unattributed'}; offers from ${token.depositMin} on are ${token.acceptsOffers ? '' : 'not '}accepted`,
  );
  say(`withdrawals are paid ${token.paysDirect ? 'directly' : ''}${token.paysOffers ? ' and by offers' : ''}`);

  step('Enable');
  const enabled = await client.mutate(ENABLE, { input: { instrument, why } });
  if (enabled.enableToken.__typename !== 'TokenPayload') throw refused('It stays frozen', enabled.enableToken);
  say(`${id} is ${enabled.enableToken.token.isFrozen ? 'still frozen' : 'enabled'}.`);
}

type Found = ResultOf<typeof FIND>['instruments']['nodes'][number];

/** An id is the admin's own choice and says nothing by itself: it is the admin who makes a token what it is. */
async function find(id: string): Promise<Pick<Found, 'admin' | 'network' | 'token'>> {
  const found: Found[] = [];
  for (let after: string | null = null; ; ) {
    const page: ResultOf<typeof FIND> = await client.query(FIND, { after });
    found.push(...page.instruments.nodes);
    if (!page.instruments.pageInfo.hasNextPage) break;
    after = page.instruments.pageInfo.endCursor;
  }
  const named = found.filter(
    (one) => one.instrumentId === id && (values.admin === undefined || one.admin === values.admin),
  );
  const [only] = named;
  if (named.length > 1) {
    throw new Stopped(
      `Several admins have a token ${id}: say which one by --admin.\n  ${named.map(({ admin }) => admin).join('\n  ')}`,
    );
  }
  if (only !== undefined) return only;
  const network = found[0]?.network;
  if (values.admin === undefined || network === undefined) {
    throw new Stopped(
      `Nothing of ${id} was ever seen here: say whose it is by --admin, and where its registry is by --registry.`,
    );
  }
  return { admin: values.admin, network, token: null };
}

async function add({ admin, network }: Pick<Found, 'admin' | 'network'>): Promise<Token> {
  const id = instrumentId ?? '';
  const { addToken } = await client.mutate(ADD, {
    input: {
      network,
      admin,
      instrumentId: id,
      name: values.name ?? id.toLowerCase(),
      why: values.why,
      ...(values.registry === undefined ? {} : { registry: { strategy: 'ROTATE', urls: [values.registry] } }),
    },
  });
  switch (addToken.__typename) {
    case 'TokenPayload':
      say(`added, frozen: ${admin}`);
      return addToken.token;
    case 'TokenRegistrySilentError':
      throw refused('Its registry says nothing; run this again later, or name another one by --registry', addToken);
    case 'TokenRefusedError': {
      if (addToken.code !== 'TOKEN_EXISTS') throw refused('It was not added', addToken);
      const { token } = await find(id);
      if (token === null) throw refused('It was not added', addToken);
      say('somebody has added it before');
      return token;
    }
  }
}

/** What a person wants to know before money moves. The server refuses to enable what fails here, too. */
function look({ pinned, registryDiffers, registryTrouble, packages, packagesMissing, packagesTrouble }: Token): void {
  if (pinned !== null) say(`its registry says: ${pinned.name} (${pinned.symbol}), ${pinned.decimals} decimals`);
  const faults = [
    ...(registryTrouble === null ? [] : [`its registry gave no answer: ${registryTrouble}`]),
    ...(packagesTrouble === null ? [] : [`a participant gave no answer: ${packagesTrouble}`]),
    ...registryDiffers.map(
      ({ field, pinned: before, found }) => `its registry now says ${field} ${found}, and said ${before}`,
    ),
    ...packagesMissing.map((missing) => `the host of ${missing.treasury} lacks ${missing.package}: ${missing.why}`),
  ];
  if (faults.length > 0) throw new Stopped(`Not enabled:\n  ${faults.join('\n  ')}`);
  say(`every host has its packages: ${packages.join(', ') || 'none but those of the standard'}`);
}

function refused(what: string, { code, message, why, fix }: Refusal): Stopped {
  return new Stopped(`${what}: ${code}\n  ${message}\n  why: ${why}\n  fix: ${fix}`);
}

function step(name: string): void {
  console.log(`\n${name}`);
}

function say(text: string): void {
  console.log(`  ${text}`);
}

try {
  if (instrumentId === undefined)
    throw new Stopped(
      'Usage: onboard.ts <instrument id> [--admin <party>] [--registry <url>] [--deposit-min <amount>] [--pay-offers]',
    );
  await onboard(instrumentId);
} catch (error) {
  if (!(error instanceof Stopped)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
