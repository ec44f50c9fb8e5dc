/** Whether the participant is there, lets us do our work, goes on where we stand, and keeps the time. */
import type { Database } from '../db/connection.ts';
import { missingPackages } from '../directory/package-look.ts';
import { type Clock, type Micros, microsToMillis } from '../env/clock.ts';
import type { Channel } from '../ledger/channel.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { readIngestionStreams } from '../read/ingestion-streams.ts';
import { checkRights } from '../treasury/check-rights.ts';
import type { Need } from '../treasury/ledger-rights.ts';
import { type Finding, fail, looked, ok, warn } from './finding.ts';

export type LedgerParts = {
  readonly ledger: Ledger;
  readonly call: Channel['call'];
  readonly clock: Clock;
  readonly network: string;
  readonly treasuries: readonly { readonly name: string; readonly party: string }[];
  readonly needs: readonly Need[];
  /** Of the tokens we serve, by name. */
  readonly packages: readonly string[];
  /** How far our clock may be behind the ledger's. */
  readonly marginSeconds: number;
  /** Null where the database cannot be read. */
  readonly db: Database | null;
};

const QUIET_MS = 35 * 60_000; // Ingestion calls a ledger quiet from there on, and reserves nothing.
const BEHIND_WARN_MS = 150_000; // Twice the longest silence of a healthy one.
const SOON_OFFSETS = 10_000n; // Pruning that close behind us is a race.

export async function checkLedger(parts: LedgerParts): Promise<readonly Finding[]> {
  const { ledger, call, clock, treasuries, needs, packages } = parts;
  const away = 'Is it up, is SLUICE_LEDGER_URL right, is the token valid? Nothing is read or paid without it.';
  let participant = '';
  const reached = await looked('ledger.reachable', away, async () => {
    const { offset } = await ledger.ledgerEnd();
    return [ok('ledger.reachable', `its ledger ends at ${offset}`)];
  });
  if (reached.some(({ outcome }) => outcome === 'FAIL')) return reached;
  // Asking who it is takes an administrator, which we should not be; the address does as a name then.
  participant = await ledger.participantId().catch(() => '');

  return [
    ...reached,
    ...(await looked('ledger.rights', away, async () => {
      const rights = await checkRights(call, { parties: treasuries.map(({ party }) => party), needs });
      if (rights.kind === 'UNKNOWN')
        return [
          warn(
            'ledger.rights',
            `unknown: ${rights.why}`,
            'A participant without users or tokens lets everybody in: fine on a laptop, nowhere else.',
          ),
        ];
      if (rights.findings.length === 0)
        return [ok('ledger.rights', `the user ${rights.user} has what it needs and no more`)];
      return rights.findings.map((finding) =>
        finding.kind === 'MISSING'
          ? fail('ledger.rights', `${finding.right} is missing: ${finding.why}`, finding.grant, finding.party)
          : warn(
              'ledger.rights',
              `${finding.right} is too wide: ${finding.why}`,
              'Have the participant’s administrator take it back.',
              finding.party,
            ),
      );
    })),
    ...(await looked('ledger.packages', away, async () => {
      const missing = await missingPackages(call, { treasuries, packages });
      if (missing.length === 0) return [ok('ledger.packages', `${packages.length} packages are vetted by every host`)];
      const todo =
        'Have the operators of the hosts upload and vet it: until then every transfer of its token is refused.';
      return missing.map((each) => fail('ledger.packages', `${each.package}: ${each.why}`, todo, each.treasury));
    })),
    ...(await looked('clock.ledger', away, async () => await checkTime(parts, clock))),
    ...(await looked('ledger.position', away, async () => await checkPositions(parts, participant))),
  ];
}

async function checkTime(parts: LedgerParts, clock: Clock): Promise<readonly Finding[]> {
  const { recordTimes } = await parts.ledger.ledgerEnd();
  const told = newestOf([...recordTimes.values()]);
  // Not every participant says what time it is on its ledger; what ingestion read last is of a few seconds ago, where it runs.
  const newest = told ?? (await newestRead(parts));
  if (newest === null)
    return [warn('clock.ledger', 'nobody has told the ledger’s time yet', 'Look again when ingestion runs.')];
  const behindMs = microsToMillis(clock.nowMicros() - newest);
  const found = `${told === null ? 'the newest time that was read from the ledger' : 'the ledger’s time'} is ${Math.abs(behindMs)} ms ${behindMs < 0 ? 'ahead of' : 'behind'} our clock`;
  if (behindMs < -parts.marginSeconds * 1_000)
    return [
      fail(
        'clock.ledger',
        found,
        'Our clock is wrong, or theirs, and no payment is opened: have this machine follow NTP.',
      ),
    ];
  const todo = `Our clock is far ahead, the synchronizer stands still${told === null ? ', or no worker runs' : ''}: nothing is paid. Check our clock first.`;
  if (behindMs > QUIET_MS) return [fail('clock.ledger', found, todo)];
  if (behindMs > BEHIND_WARN_MS) return [warn('clock.ledger', found, todo)];
  return [ok('clock.ledger', found)];
}

async function newestRead({ db, network }: LedgerParts): Promise<Micros | null> {
  if (db === null) return null;
  const streams = await readIngestionStreams(db);
  const ours = streams.filter(({ treasury }) => treasury.network === network);
  return newestOf(ours.flatMap(({ synchronizers }) => synchronizers.map(({ recordTime }) => recordTime)));
}

function newestOf(times: readonly Micros[]): Micros | null {
  return times.reduce<Micros | null>((max, time) => (max === null || time > max ? time : max), null);
}

async function checkPositions(
  { ledger, db, network, treasuries }: LedgerParts,
  participant: string,
): Promise<readonly Finding[]> {
  if (db === null) return [];
  const [end, pruned] = [await ledger.ledgerEnd(), await ledger.prunedUpTo()];
  const streams = await readIngestionStreams(db);
  return treasuries.map(({ name, party }) => {
    const stream = streams.find(({ treasury }) => treasury.network === network && treasury.party === party);
    if (stream === undefined || stream.participantId === null)
      return ok('ledger.position', 'nothing is read yet', name);
    if (stream.status === 'HALTED')
      return fail(
        'ledger.position',
        `the stream is halted: ${stream.statusReason ?? ''}`,
        'docs/runbooks/halted-stream.md',
        name,
      );
    if (participant !== '' && stream.participantId !== participant)
      return warn(
        'ledger.position',
        `it was read from ${stream.participantId}, another participant than this`,
        'Its offsets are others; the place is found again by itself. docs/runbooks/participant-switch.md',
        name,
      );
    const at = stream.ledgerOffset;
    if (end.offset < at)
      return fail(
        'ledger.position',
        `we stand at ${at}, and its ledger ends at ${end.offset}`,
        'It was restored from a backup: docs/runbooks/validator-restore.md',
        name,
      );
    if (pruned > at)
      return fail(
        'ledger.pruning',
        `we stand at ${at}, and it has forgotten everything up to ${pruned}`,
        'Follow another host of the party that still has it; there is none: docs/runbooks/halted-stream.md',
        name,
      );
    if (pruned > 0n && at - pruned < SOON_OFFSETS && end.offset - at > SOON_OFFSETS)
      return warn(
        'ledger.pruning',
        `we stand at ${at}, pruned is ${pruned}, and there is much to read`,
        'Have its operator stop pruning until we have caught up.',
        name,
      );
    return ok('ledger.position', `${end.offset - at} offsets to read; pruned up to ${pruned}`, name);
  });
}
