/** `sluice funds`: what each treasury has and can spend, the pool of large holdings that it keeps, and what is left of the participants’ traffic. */
import { Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { PermanentError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { readTraffic } from '../read/traffic.ts';
import type { TrafficLeft } from '../submissions/traffic-readings.ts';
import { parseAmount } from '../tokens/amount.ts';
import { HOURS_LEFT_MIN, type TrafficHealth, trafficHealthOf } from '../treasury/traffic-health.ts';
import { INPUTS_MAX } from '../withdrawals/input-selection.ts';
import { readTreasuryFunds, setPoolTarget, type TreasuryFunds } from '../withdrawals/pool/pool-targets.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { withDatabase } from './with-database.ts';

type PoolOptions = {
  readonly count: number;
  readonly amount: string;
  readonly inputs: number;
  readonly by: string;
};

export function fundsCommand(context: CommandContext): Command {
  const { terminal } = context;
  const networkOf = (): string => loadConfig(context.environment, ['network']).network;

  const pool = new Command('pool')
    .description(
      'how many holdings of at least which amount a treasury keeps ready, so that as many withdrawals are under way at once',
    )
    .argument('<treasury>', 'its name')
    .argument('<instrument>', 'its name')
    .requiredOption('--count <n>', 'so many, 0 to 500; 0 keeps none', wholeNumber)
    .requiredOption('--amount <decimal>', 'of at least this amount each')
    .option('--inputs <n>', 'inputs of one transaction, 2 to 100: what the registry takes', wholeNumber, INPUTS_MAX)
    .requiredOption('--by <name>', 'who you are', parseBy)
    .action(async (treasury: string, instrument: string, { count, amount, inputs, by }: PoolOptions) => {
      await withDatabase(context, 'funds', async (db) => {
        const keys = await keysOf(db, networkOf(), treasury, instrument);
        const nowMicros = context.clock.nowMicros();
        await setPoolTarget(db, { ...keys, count, amount: parseAmount(amount), inputsMax: inputs, by, nowMicros });
        terminal.print(`${treasury} keeps ${count} holdings of ${instrument}, of at least ${amount} each`);
      });
    });

  return new Command('funds')
    .description('what each treasury holds: free, reserved, locked, and its pool; and the participants’ traffic')
    .action(async () => {
      await withDatabase(context, 'funds', async (db) => {
        const funds = await readTreasuryFunds(db, networkOf());
        if (funds.length === 0) terminal.print('no treasury holds anything');
        for (const one of funds) terminal.print(lineOf(one));
        const { trafficReserveBytes } = loadConfig(context.environment, ['trafficReserveBytes']);
        const limits = { reserve: BigInt(trafficReserveBytes), hoursMin: HOURS_LEFT_MIN };
        for (const traffic of await readTraffic(db, networkOf())) {
          terminal.print(trafficLineOf(traffic, trafficHealthOf(traffic, limits, context.clock.nowMicros())));
        }
      });
    })
    .addCommand(pool);
}

function lineOf(funds: TreasuryFunds): string {
  const { treasury, instrument, free, freeCount, reserved, locked, poolCount, poolAmount, largeCount } = funds;
  const pool = poolCount === null ? 'no pool' : `pool ${largeCount} of ${poolCount} from ${poolAmount}`;
  const underWay = funds.selfTransfersUnderWay;
  return `${treasury} ${instrument}: free ${free} in ${freeCount} holdings, reserved ${reserved}, locked ${locked}; ${pool}, self-transfers under way ${underWay}`;
}

function trafficLineOf({ participant, balance, readAt }: TrafficLeft, { state, hoursLeft }: TrafficHealth): string {
  const hours = hoursLeft === null ? 'at no burn that is known' : `${hoursLeft} hours until the reserve`;
  return `traffic of ${participant}: ${state}, ${balance} bytes bought and left, ${hours}, read at ${formatRecordTime(readAt)}`;
}

async function keysOf(db: Database, network: string, treasury: string, instrument: string) {
  const row = await db
    .selectFrom('network as n')
    .innerJoin('treasury_party as t', 't.network_id', 'n.id')
    .innerJoin('instrument as i', 'i.network_id', 'n.id')
    .select(['t.id as treasuryId', 'i.id as instrumentKey'])
    .where('n.name', '=', network)
    .where('t.name', '=', treasury)
    .where('i.name', '=', instrument)
    .executeTakeFirst();
  if (row === undefined)
    throw new PermanentError('POOL_UNKNOWN', 'No such treasury, or no such instrument.', { treasury, instrument });
  return row;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('Not a whole number.');
  return Number(text);
}
