/** `sluice signer`: the process that holds the key. It reads no configuration of the service, opens no database, and listens on nothing but its own socket. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { lockDirectory } from '../db/embedded-lock.ts';
import { PermanentError } from '../env/errors.ts';
import { readKeyFile } from '../signer/key-file.ts';
import { openPkcs11Key } from '../signer/pkcs11/pkcs11-key.ts';
import { CHECK_RULES, readRules, type SignerRules } from '../signer/signer-rules.ts';
import type { Listening } from '../signer/signer-server.ts';
import { type LogBeginning, startSigner } from '../signer/signer-service.ts';
import type { CommandContext } from './command-context.ts';
import { readPem } from './open-signer.ts';
import { untilStopped } from './shutdown.ts';

type Options = {
  readonly key?: string;
  readonly pkcs11?: string;
  readonly tokenLabel?: string;
  readonly keyLabel?: string;
  readonly pinFile?: string;
  readonly log: string;
  readonly newLog?: true;
  readonly lostLog?: true;
  readonly rules?: string;
  readonly check?: true;
  readonly listen: Listen;
  readonly socketMode: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
};

type Listen = { readonly path: string } | { readonly host: string; readonly port: number };

export function signerCommand(context: CommandContext): Command {
  return new Command('signer')
    .description(
      'hold the key of the treasury parties in a process of its own, and sign what it was meant for (docs/guides/signers.md)',
    )
    .option('--key <file>', 'private key: PEM, or the seed in hex; mode 0600')
    .option('--pkcs11 <module>', 'the library of a hardware module instead, e.g. /usr/lib/softhsm/libsofthsm2.so')
    .option('--token-label <label>', 'of the module: its token')
    .option('--key-label <label>', 'of the module: its key')
    .option('--pin-file <file>', 'of the module: a file with the PIN; mode 0600')
    .requiredOption('--log <file>', 'what was signed; never copied back from a backup')
    .option('--new-log', 'begin the log, where there is none: for a key that signed nothing yet')
    .option('--lost-log', 'begin the log, where it was lost: signs when nothing of the lost one can commit any more')
    .option('--rules <file>', 'for whom it signs, and how much')
    .option('--check', 'take part in `sluice signer-check` instead: signs what no ledger has, and nothing else')
    .requiredOption('--listen <place>', 'unix:/path, or host:port with the three files of TLS', parseListen)
    .addOption(
      new Option('--socket-mode <mode>', 'of the unix socket: 600, or 660 for the group of its directory')
        .argParser(parseMode)
        .default(0o600, '600'),
    )
    .option('--tls-cert <file>', 'certificate of the signer (PEM)')
    .option('--tls-key <file>', 'its key (PEM)')
    .option('--tls-ca <file>', 'the authority of the clients: whoever has a certificate of it may ask (PEM)')
    .action(async (options: Options) => {
      const logger = context.createLogger('info');
      const rules = rulesOf(options);
      const listening = listeningOf(options);
      const beginning = beginningOf(options);
      await untilStopped({ ...context, logger }, async ({ requested, teardown }) => {
        const lock = await lockDirectory(options.log);
        if (lock === null) throw new PermanentError('SIGNER_LOG_SHARED', 'Another signer has this log open.');
        teardown.add('lock of the log', lock.release);
        const key = await keyOf(options, (name, close) => teardown.add(name, close));
        const logPath = options.log;
        const server = await startSigner({ key, logPath, beginning, rules, listening, clock: context.clock, logger });
        teardown.add('signer', server.close);
        context.terminal.print(`signs with ${key.shown.fingerprint} (${key.shown.algorithm}) at ${server.url}`);
        await new Promise<void>((resolve) => requested.addEventListener('abort', () => resolve(), { once: true }));
      });
    });
}

async function keyOf(options: Options, atEnd: (name: string, close: () => Promise<void>) => void) {
  const { key, pkcs11, tokenLabel, keyLabel, pinFile } = options;
  if ((key === undefined) === (pkcs11 === undefined)) throw usage('Expected --key or --pkcs11, and not both.');
  const uid = process.getuid?.() ?? 0;
  if (key !== undefined) return readKeyFile(key, uid);
  if (pkcs11 === undefined || tokenLabel === undefined || keyLabel === undefined || pinFile === undefined) {
    throw usage('--pkcs11 takes --token-label, --key-label and --pin-file.');
  }
  const opened = await openPkcs11Key({ module: pkcs11, tokenLabel, keyLabel, pinFile, uid });
  atEnd('hardware module', async () => opened.close());
  return opened.key;
}

function rulesOf({ rules, check }: Options): SignerRules {
  if (check === true && rules !== undefined) throw usage('--check has rules of its own.');
  if (check === true) return CHECK_RULES;
  if (rules === undefined)
    throw usage('Expected --rules: without limits of its own, whoever has the service has the money.');
  return readRules(rules);
}

function beginningOf({ newLog, lostLog }: Options): LogBeginning {
  if (newLog === true && lostLog === true) throw usage('--new-log and --lost-log exclude each other.');
  if (newLog === true) return 'FIRST';
  return lostLog === true ? 'LOST' : 'MISSING_IS_A_FAULT';
}

function listeningOf({ listen, socketMode, tlsCert, tlsKey, tlsCa }: Options): Listening {
  if ('path' in listen) return { kind: 'UNIX', path: listen.path, mode: socketMode };
  if (tlsCert === undefined || tlsKey === undefined || tlsCa === undefined) {
    throw usage('Over TCP a signer takes --tls-cert, --tls-key and --tls-ca.');
  }
  return {
    kind: 'TLS',
    ...listen,
    cert: readPem('--tls-cert', tlsCert),
    key: readPem('--tls-key', tlsKey),
    ca: readPem('--tls-ca', tlsCa),
  };
}

function usage(message: string): PermanentError {
  return new PermanentError('SIGNER_OPTIONS', message);
}

function parseListen(text: string): Listen {
  const [, path] = /^unix:(\/.{1,100})$/.exec(text) ?? [];
  if (path !== undefined) return { path };
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host !== undefined && Number(port) <= 65_535)
    return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
  throw new InvalidArgumentError('Expected unix:/path or host:port.');
}

function parseMode(text: string): number {
  if (text === '600' || text === '660') return Number.parseInt(text, 8);
  throw new InvalidArgumentError('Expected 600 or 660.');
}
