/** `sluice token`: which instruments are ours, where their registries are, and what is done with them. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../config/config.ts';
import { formatReadSource, parseReadSource, type ReadSource } from '../config/read-source.ts';
import type { Database } from '../db/connection.ts';
import type { TokenDirectory } from '../directory/token-directory.ts';
import { TokenRefusal } from '../directory/token-refusal.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { readTokenChanges, readTokensOfNetwork, type Token, type TokenKey } from '../read/tokens.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { openTokenDirectory } from './token-directory.ts';
import { withDatabase } from './with-database.ts';

const CONFIG = [
  'network',
  'registries',
  'registryPrivate',
  'registryCallsPerSecond',
  'scan',
  'validatorUrl',
  'validatorToken',
  'validatorTokenFile',
] as const;

const CHANGES_SHOWN = 20;

type Decided = { readonly by: string; readonly why: string };
type Policy = {
  readonly creditDeposits?: boolean;
  readonly acceptOffers?: boolean;
  readonly depositMin?: string;
  readonly payDirect?: boolean;
  readonly payOffers?: boolean;
  readonly offerValidity?: number;
  readonly returnFee?: string;
};

export function tokenCommand(context: CommandContext): Command {
  const { terminal } = context;
  const decided = (command: Command): Command =>
    command
      .requiredOption('--by <name>', 'who you are', parseBy)
      .requiredOption('--why <text>', 'for those who come after you; kept for ever');

  const list = new Command('list').description('every token, one a line').action(async () => {
    await withDirectory(context, async ({ db, network }) => {
      const tokens = await readTokensOfNetwork(db, network);
      if (tokens.length === 0) terminal.print('the directory is empty');
      for (const token of tokens) terminal.print(lineOf(token));
    });
  });

  const show = new Command('show')
    .description('all that is decided and known of a token; exit code 1 where something is wrong with it')
    .argument('<token>', 'its name, or `admin/id`')
    .action(async (name: string) => {
      await withDirectory(context, async ({ db, network }) => {
        const token = await named(db, network, name);
        for (const line of linesOf(token)) terminal.print(line);
        const [changes = []] = await readTokenChanges(db, [keyOf(token)], CHANGES_SHOWN);
        for (const { action, changedAt, changedBy, why } of changes) {
          terminal.print(`  ${formatRecordTime(changedAt)}  ${action} by ${changedBy}: ${why}`);
        }
        if (token.registryDiffers.length > 0 || token.packagesMissing.length > 0) context.end('no');
      });
    });

  const add = decided(withPolicy(new Command('add')))
    .description('asks the registry, pins what it says, and adds the token: frozen, until `sluice token enable`')
    .argument('<admin>', 'party id of the admin')
    .argument('<id>', 'the id the admin gave the instrument')
    .requiredOption('--name <name>', 'ours, for people')
    .option('--registry <source>', '`url`, `rotate:url|url`, `quorum:url|url|url|url` or `proxy`', parseSource)
    .option('--package <name...>', 'packages that hosts need beyond those of the standard')
    .addOption(implementationOption('--implementation <name>'))
    .action(async (admin: string, instrumentId: string, options: Decided & Policy & AddOptions) => {
      await withDirectory(context, async ({ directory, network }) => {
        const { name, registry = null, implementation = null, package: packages = [], ...rest } = options;
        const wanted = { network, admin, instrumentId, name, registry, implementation, packages };
        const token = await directory.add({ ...wanted, policy: policyOf(rest) }, rest);
        for (const line of linesOf(token)) terminal.print(line);
        terminal.print('It is frozen: look at it, then `sluice token enable`.');
      });
    });

  const policy = decided(withPolicy(new Command('policy')))
    .description('changes what is done with a token; what is not given stays')
    .argument('<token>', 'its name, or `admin/id`')
    .action(async (name: string, options: Decided & Policy) => {
      await withDirectory(context, async ({ db, directory, network }) => {
        const token = await named(db, network, name);
        print(await directory.setPolicy(keyOf(token), token.version, policyOf(options), options));
      });
    });

  const registry = decided(new Command('registry'))
    .description('reads the registry of the token’s admin elsewhere from now on')
    .argument('<token>', 'its name, or `admin/id`')
    .argument('<source>', '`url`, `rotate:url|url`, `quorum:url|url|url|url` or `proxy`', parseSource)
    .action(async (name: string, source: ReadSource, options: Decided) => {
      await withDirectory(context, async ({ db, directory, network }) => {
        print(await directory.setRegistry(keyOf(await named(db, network, name)), source, options));
      });
    });

  const implementation = decided(new Command('implementation'))
    .description('judges what is signed of a frozen token by other rules from now on')
    .argument('<token>', 'its name, or `admin/id`')
    .addArgument(new Argument('<implementation>', 'whose contracts move it').choices(IMPLEMENTATIONS))
    .action(async (name: string, wanted: Token['implementation'], options: Decided) => {
      await withDirectory(context, async ({ db, directory, network }) => {
        print(await directory.setImplementation(keyOf(await named(db, network, name)), wanted, options));
      });
    });

  const simple = (verb: 'freeze' | 'enable' | 'pin', description: string): Command =>
    decided(new Command(verb))
      .description(description)
      .argument('<token>', 'its name, or `admin/id`')
      .action(async (name: string, options: Decided) => {
        await withDirectory(context, async ({ db, directory, network }) => {
          print(await directory[verb](keyOf(await named(db, network, name)), options));
        });
      });

  function print(token: Token): void {
    terminal.print(lineOf(token));
  }

  return new Command('token')
    .description('which instruments are ours, where their registries are, and what is done with them')
    .addCommand(list, { isDefault: true })
    .addCommand(show)
    .addCommand(add)
    .addCommand(policy)
    .addCommand(registry)
    .addCommand(implementation)
    .addCommand(simple('freeze', 'nothing of it is reserved or signed from now on; deposits are credited'))
    .addCommand(simple('enable', 'it may move, unless another freeze covers it'))
    .addCommand(simple('pin', 'takes what its registry says now as what holds'));
}

type AddOptions = {
  readonly name: string;
  readonly registry?: ReadSource;
  readonly package?: readonly string[];
  readonly implementation?: Token['implementation'];
};

const IMPLEMENTATIONS = ['SPLICE_AMULET', 'UTILITY_REGISTRY', 'OTHER'] as const;

function implementationOption(flags: string): Option {
  return new Option(flags, 'whose contracts move it').choices(IMPLEMENTATIONS);
}

async function withDirectory(
  context: CommandContext,
  work: (parts: {
    readonly db: Database;
    readonly directory: TokenDirectory;
    readonly network: string;
  }) => Promise<void>,
): Promise<void> {
  const config = loadConfig(context.environment, CONFIG);
  await withDatabase(context, 'sluice-token', async (db, { logger }) => {
    const directory = openTokenDirectory(config, db, { ...context, logger });
    await work({ db, directory, network: config.network });
  });
}

function withPolicy(command: Command): Command {
  const yesOrNo = (flag: string, description: string): Option =>
    new Option(`--${flag} <yes|no>`, description).argParser(parseYesOrNo);
  return command
    .addOption(yesOrNo('credit-deposits', 'credit deposits with a known memo'))
    .addOption(yesOrNo('accept-offers', 'accept offers to known deposit accounts'))
    .option('--deposit-min <amount>', 'leave offers below it alone')
    .addOption(yesOrNo('pay-direct', 'pay receivers with a preapproval at once'))
    .addOption(yesOrNo('pay-offers', 'make others an offer'))
    .option('--offer-validity <seconds>', 'how long an offer of ours stands', parseSeconds)
    .option('--return-fee <amount>', 'kept from the customer when an offer of ours comes back');
}

function policyOf(options: Policy) {
  const { creditDeposits, acceptOffers, depositMin, payDirect, payOffers, offerValidity, returnFee } = options;
  return {
    ...(creditDeposits === undefined ? {} : { creditsDeposits: creditDeposits }),
    ...(acceptOffers === undefined ? {} : { acceptsOffers: acceptOffers }),
    ...(depositMin === undefined ? {} : { depositMin }),
    ...(payDirect === undefined ? {} : { paysDirect: payDirect }),
    ...(payOffers === undefined ? {} : { paysOffers: payOffers }),
    ...(offerValidity === undefined ? {} : { offerValiditySeconds: offerValidity }),
    ...(returnFee === undefined ? {} : { returnFee }),
  };
}

/** @throws TokenRefusal TOKEN_UNKNOWN where nothing, or more than one token, is called so. */
async function named(db: Database, network: string, name: string): Promise<Token> {
  const tokens = await readTokensOfNetwork(db, network);
  const found = tokens.filter(
    ({ instrument }) => instrument.name === name || `${instrument.admin}/${instrument.instrumentId}` === name,
  );
  const [token] = found;
  if (token !== undefined && found.length === 1) return token;
  throw new TokenRefusal('TOKEN_UNKNOWN', `${found.length} tokens of ${network} are called ${name}: expected one.`);
}

function keyOf({ instrument: { network, admin, instrumentId } }: Token): TokenKey {
  return { network, admin, instrumentId };
}

function lineOf({ instrument, isFrozen, registryDiffers, packagesMissing, pinned }: Token): string {
  const state = isFrozen ? 'FROZEN ' : 'enabled';
  const troubles = [
    ...(pinned === null ? ['its registry has not answered yet'] : []),
    ...(registryDiffers.length > 0 ? ['ITS REGISTRY DIFFERS'] : []),
    ...(packagesMissing.length > 0 ? ['PACKAGES MISSING'] : []),
  ];
  const trouble = troubles.length === 0 ? '' : `  (${troubles.join(', ')})`;
  return `${state}  ${instrument.name}  ${instrument.admin}/${instrument.instrumentId}${trouble}`;
}

function linesOf(token: Token): readonly string[] {
  const { registry, pinned, registryTrouble, packagesTrouble } = token;
  const yes = (is: boolean): string => (is ? 'yes' : 'no');
  return [
    lineOf(token),
    `  registry        ${registry === null ? 'none: nothing of it can be moved' : formatReadSource(registry)}`,
    ...(registryTrouble === null ? [] : [`  NO ANSWER       ${registryTrouble}`]),
    `  pinned          ${pinned === null ? 'not yet' : `${pinned.name} (${pinned.symbol}), ${pinned.decimals} decimals`}`,
    ...token.registryDiffers.map((each) => `  DIFFERS         ${each.field}: pinned ${each.pinned}, now ${each.found}`),
    `  deposits        credited: ${yes(token.creditsDeposits)}, offers accepted: ${yes(token.acceptsOffers)} from ${token.depositMin}`,
    `  withdrawals     direct: ${yes(token.paysDirect)}, by offer: ${yes(token.paysOffers)} for ${token.offerValiditySeconds} s, return costs ${token.returnFee}`,
    `  implementation  ${token.implementation}`,
    `  packages        ${token.packages.join(', ')}`,
    ...(packagesTrouble === null ? [] : [`  NO ANSWER       ${packagesTrouble}`]),
    ...token.packagesMissing.map((each) => `  MISSING         ${each.package} for ${each.treasury}: ${each.why}`),
  ];
}

function parseSource(text: string): ReadSource {
  const source = parseReadSource(text);
  if (source !== null) return source;
  throw new InvalidArgumentError('Expected `url`, `rotate:url|url`, `quorum:url|url|url|url` or `proxy`.');
}

function parseYesOrNo(text: string): boolean {
  if (text === 'yes' || text === 'no') return text === 'yes';
  throw new InvalidArgumentError('Expected yes or no.');
}

function parseSeconds(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a number of seconds.');
}
