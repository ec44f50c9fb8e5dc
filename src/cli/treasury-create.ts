/** `sluice treasury create`: a new treasury party, from its key at the signer to its preapproval. Each step looks first at what is there: after any failure the same command goes on. */
import { Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config/config.ts';
import { ed25519PrivateKey } from '../custody/local-signer.ts';
import { createOnboardingSigner } from '../custody/onboarding-signer.ts';
import { PermanentError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { StateServiceService } from '../gen/com/daml/ledger/api/v2/state_service.ts';
import { type Channel, openChannel } from '../ledger/channel.ts';
import { createLedgerClient } from '../ledger/ledger-client.ts';
import { checkRights } from '../treasury/check-rights.ts';
import { createParty } from '../treasury/create-party.ts';
import { proposePreapproval } from '../treasury/propose-preapproval.ts';
import type { CommandContext } from './command-context.ts';
import { openTokens } from './ledger-endpoints.ts';
import { createServiceLoops } from './service-loops.ts';
import { untilStopped } from './shutdown.ts';
import { ENDPOINT_KEYS } from './with-participant.ts';

const KEYS = [...ENDPOINT_KEYS, 'instruments', 'ledgerUser', 'signerSeed', 'logLevel'] as const;

type Options = {
  readonly threshold?: number;
  readonly synchronizer?: string;
  readonly provider?: string;
};

export function treasuryCreateCommand(context: CommandContext): Command {
  return new Command('create')
    .description(
      'a new treasury party: its key at the signer, hosted by the participants of SLUICE_LEDGER_URL, its preapproval proposed; repeat it after any failure',
    )
    .argument('<hint>', 'the readable part of its id', parseHint)
    .option('--threshold <count>', 'how many of the participants have to confirm; all when left out', parseCount)
    .option('--synchronizer <id>', 'where several are connected')
    .option(
      '--provider <party>',
      "the exchange's party whose validator renews the preapproval; none is proposed without",
    )
    .action(async (hint: string, options: Options) => {
      const config = loadConfig(context.environment, KEYS);
      const logger = context.createLogger(config.logLevel);
      const say = (text: string): void => context.terminal.print(text);
      if (config.signerSeed === null) {
        throw new PermanentError('SIGNER_MISSING', 'SLUICE_DEV_SIGNER_SEED is needed: the party is made of its key.');
      }
      const signer = createOnboardingSigner(ed25519PrivateKey(Buffer.from(config.signerSeed.reveal(), 'hex')));
      await untilStopped({ ...context, logger }, async ({ requested, teardown }) => {
        const { tokens, loops } = openTokens(config, { ...context, logger });
        const running = createServiceLoops({ logger });
        teardown.add('token renewal', running.stop);
        for (const { name, run } of loops) running.run(name, run);
        const hosts = config.ledgerUrls.map((url) => {
          const channel = openChannel({ url, ...(tokens && { tokens }) });
          teardown.add(`connection to ${url}`, channel.close);
          return { url, call: channel.call, channel };
        });
        const [first] = hosts;
        if (first === undefined) return;
        const synchronizerId = options.synchronizer ?? (await onlySynchronizer(first.call));
        say(`key             ${signer.key.fingerprint}`);

        const threshold = options.threshold ?? hosts.length;
        const { party, participants, isNew } = await createParty({ hosts, hint, threshold, synchronizerId, signer });
        say(`party           ${party} ${isNew ? `made, ${threshold} of ${participants.length} confirm` : 'was there'}`);
        for (const participant of participants) say(`hosted by       ${participant}`);

        const rights = await checkRights(first.call, { parties: [party], needs: ['READ', 'EXECUTE'] });
        const missing = rights.kind === 'CHECKED' ? rights.findings.filter(({ kind }) => kind === 'MISSING') : [];
        for (const finding of missing) {
          if (finding.kind !== 'MISSING') continue;
          say(`MISSING RIGHT   ${finding.right}: ${finding.why}`);
          say(`                ${finding.grant}`);
        }
        if (missing.length > 0) {
          say('Have them granted, and repeat the command: it goes on from here.');
          context.end('no');
          return;
        }

        await propose();
        say(`\nexport SLUICE_TREASURY_PARTIES='${hint}=${party}'`);

        async function propose(): Promise<void> {
          const dso = config.instruments.find(({ id }) => id === 'Amulet')?.admin;
          if (options.provider === undefined || dso === undefined) {
            say('preapproval     not proposed: it takes --provider, and Canton Coin in SLUICE_INSTRUMENTS');
            return;
          }
          const { provider } = options;
          const outcome = await proposePreapproval({
            ledger: createLedgerClient(channelOf(first)),
            call: channelOf(first).call,
            signer,
            party,
            provider,
            dso,
            userId: config.ledgerUser,
            synchronizerId,
            clock: context.clock,
            random: context.random,
            signal: requested,
          });
          switch (outcome.kind) {
            case 'VALID':
              say(`preapproval     valid until ${formatRecordTime(outcome.look.preapproval?.expiresAt ?? 0n)}`);
              return;
            case 'PROPOSED':
            case 'PROPOSED_BEFORE':
              say(`preapproval     proposed to ${outcome.provider}: its validator has to accept it`);
              return;
            case 'NOT_SEEN':
              say('preapproval     the proposal was sent and did not come: repeat the command');
              context.end('no');
          }
        }
      });
    });
}

function channelOf(host: { readonly channel: Channel } | undefined): Channel {
  if (host === undefined) throw new PermanentError('PARTY_HOSTS_INVALID', 'No participant is configured.');
  return host.channel;
}

async function onlySynchronizer(call: Channel['call']): Promise<string> {
  const request = { party: '', participantId: '', identityProviderId: '' };
  const { connectedSynchronizers } = await call(StateServiceService.getConnectedSynchronizers, request);
  const ids = [...new Set(connectedSynchronizers.map(({ synchronizerId }) => synchronizerId))];
  const [only] = ids;
  if (only !== undefined && ids.length === 1) return only;
  throw new PermanentError('SYNCHRONIZER_UNCLEAR', `Connected synchronizers: ${ids.join(', ')}; name one.`, { ids });
}

function parseHint(text: string): string {
  if (/^[A-Za-z0-9_-]{1,60}$/.test(text)) return text;
  throw new InvalidArgumentError('Expected letters, digits, `_` and `-`, at most 60.');
}

function parseCount(text: string): number {
  if (/^[1-9][0-9]?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a number.');
}
