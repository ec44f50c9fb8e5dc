/** `sluice signer-check`: proves that an implementation of the signer's protocol does what docs/signer-protocol.md asks of it. Its transactions exist on no ledger. */
import { spawn } from 'node:child_process';
import { Command, InvalidArgumentError } from 'commander';
import type { SignerPlace } from '../config/values.ts';
import { signerPlace } from '../config/values.ts';
import type { Signer } from '../custody/signer.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import { canRun, type KitSubject, SIGNER_KIT } from '../signer/kit/signer-kit.ts';
import { createRemoteSigner } from '../signer/remote-signer.ts';
import { createSignerExchange } from '../signer/signer-exchange.ts';
import { requestJson, SIGN_PATH } from '../signer/wire.ts';
import type { CommandContext } from './command-context.ts';
import { signerAddressOf } from './open-signer.ts';

type Options = {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly rotate?: string;
  readonly stop?: string;
  readonly start?: string;
  readonly limits: boolean;
};

const TIMEOUT_MS = 30_000;
/** So long after a request was written whole the signer has read it, and its answer finds nobody. */
const HANG_UP_MS = 50;
const COMES_UP_TRIES = 100;
const COMES_UP_MS = 100;

export function signerCheckCommand(context: CommandContext): Command {
  return new Command('signer-check')
    .description(
      'prove a signer against the contract, with transactions that exist on no ledger (docs/signer-protocol.md)',
    )
    .argument('<url>', 'unix:/path or https://host:port', parsePlace)
    .option('--tls-cert <file>', 'our certificate (PEM), for https')
    .option('--tls-key <file>', 'its key (PEM)')
    .option('--tls-ca <file>', 'the authority of the signer (PEM)')
    .option('--stop <command>', 'a shell command that ends the signer, as hard as can be')
    .option('--start <command>', 'one that starts it again, with the same log and key')
    .option('--rotate <command>', 'one that gives it another key; its log stays')
    .option('--no-limits', 'it has no limit on the instrument of the check')
    .action(async (place: SignerPlace, options: Options) => {
      const say = (text: string): void => context.terminal.print(text);
      const subject = await subjectOf(context, place, options);
      const tally = { held: 0, broken: 0, left: 0 };
      for (const kitCase of SIGNER_KIT) {
        if (!canRun(kitCase, subject)) {
          tally.left += 1;
          say(`left out  ${kitCase.name} (needs ${kitCase.needs.map((need) => HOW[need]).join(', ')})`);
          continue;
        }
        try {
          await kitCase.run(subject);
          tally.held += 1;
          say(`ok        ${kitCase.name}`);
        } catch (error) {
          tally.broken += 1;
          say(`BROKEN    ${kitCase.name}\n          ${messageOf(error)}`);
        }
      }
      say(`\n${tally.held} held, ${tally.broken} broken, ${tally.left} left out`);
      if (tally.broken > 0) context.end('no');
    });
}

const HOW = {
  rotate: '--rotate',
  restart: '--stop and --start',
  post: 'a URL',
  loseAnswer: 'a URL',
  isLimited: 'no --no-limits',
} as const;

async function subjectOf({ clock, random }: CommandContext, place: SignerPlace, options: Options): Promise<KitSubject> {
  const { tlsCert = null, tlsKey = null, tlsCa = null, rotate, stop, start } = options;
  const address = signerAddressOf(place, { signerCert: tlsCert, signerCertKey: tlsKey, signerCa: tlsCa });
  const exchange = createSignerExchange(address, { clock });
  const once = { attemptsMax: 1, delayMsMin: 1, delayMsMax: 1 };
  // Whatever key it shows is the one it is tried with; which keys a party has, the ledger says.
  const registered = new Set<string>();
  const client = createRemoteSigner({
    address,
    registeredKeys: () => [...registered],
    clock,
    random,
    timeoutMs: TIMEOUT_MS,
    tries: once,
  });
  const signer: Signer = {
    sign: client.sign,
    currentKey: async (signal) => {
      const key = await client.currentKey(signal);
      registered.add(key.fingerprint);
      return key;
    },
  };
  await signer.currentKey();

  /** Asks for the key until the answer is as wanted: who was just killed may answer once more. @throws what the last answer was, where it never is. */
  const awaitKey = async (isWanted: (fingerprint: string | null) => boolean): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      const found = await signer.currentKey().then(
        ({ fingerprint }) => ({ fingerprint, error: null }),
        (error: unknown) => ({ fingerprint: null, error }),
      );
      if (isWanted(found.fingerprint)) return;
      if (tries >= COMES_UP_TRIES) {
        throw found.error ?? new PermanentError('SIGNER_CHECK_COMMAND', `The signer still shows ${found.fingerprint}.`);
      }
      await clock.sleep(COMES_UP_MS);
    }
  };
  return {
    signer,
    clock,
    random,
    rotate:
      rotate === undefined
        ? null
        : async () => {
            const { fingerprint: before } = await signer.currentKey();
            await runCommand(rotate);
            await awaitKey((fingerprint) => fingerprint !== null && fingerprint !== before);
          },
    restart:
      stop === undefined || start === undefined
        ? null
        : {
            stop: async () => {
              await runCommand(stop);
              await awaitKey((fingerprint) => fingerprint === null);
            },
            start: async () => {
              await runCommand(start);
              await awaitKey((fingerprint) => fingerprint !== null);
            },
          },
    post: async (body) =>
      await exchange.ask({ method: 'POST', path: SIGN_PATH, body: JSON.stringify(body) }, { timeoutMs: TIMEOUT_MS }),
    loseAnswer: async (request) => {
      const gone = new AbortController();
      const body = JSON.stringify(requestJson(request));
      const asked = exchange.ask(
        { method: 'POST', path: SIGN_PATH, body },
        { timeoutMs: TIMEOUT_MS, signal: gone.signal },
      );
      await Promise.race([asked.catch(() => undefined), clock.sleep(HANG_UP_MS)]);
      gone.abort();
      await asked.catch(() => undefined);
    },
    isLimited: options.limits,
  };
}

/** Waits for its end, not for what it left running. */
async function runCommand(command: string): Promise<void> {
  const code = await new Promise<number | null>((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'ignore', 'inherit'] });
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0) throw new PermanentError('SIGNER_CHECK_COMMAND', `\`${command}\` ended with ${code}.`, { code });
}

function parsePlace(text: string): SignerPlace {
  const parsed = signerPlace.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(parsed.error.issues.map(({ message }) => message).join('; '));
}
