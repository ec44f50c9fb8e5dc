/** `sluice treasury check`: whether the participant lets us do what we have to for the treasuries, and no more; packages and preapprovals with it. */
import { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import { missingPackages } from '../directory/package-look.ts';
import { packagesOf } from '../directory/token-policy.ts';
import { messageOf } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { PartyManagementServiceService } from '../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { createFailoverLedger } from '../ledger/failover-ledger.ts';
import { checkRights } from '../treasury/check-rights.ts';
import { healthOf } from '../treasury/preapproval-health.ts';
import { lookAtPreapproval } from '../treasury/preapproval-look.ts';
import type { CommandContext } from './command-context.ts';
import { untilStopped } from './shutdown.ts';
import { needsOf } from './treasury-rights.ts';
import { ENDPOINT_KEYS, withParticipant } from './with-participant.ts';

const KEYS = [...ENDPOINT_KEYS, 'treasuryParties', 'instruments', 'signerSeed', 'signer', 'logLevel'] as const;

export function treasuryCheckCommand(context: CommandContext): Command {
  return new Command('check')
    .description(
      'what the ledger user may do, what hosts lack, and whether deposits arrive at once; exit code 1 where something is missing',
    )
    .action(async () => {
      const config = loadConfig(context.environment, KEYS);
      const logger = context.createLogger(config.logLevel);
      await untilStopped({ ...context, logger }, async ({ requested }) => {
        let isWell = true;
        const say = (text: string): void => context.terminal.print(text);
        const complain = (text: string): void => {
          isWell = false;
          say(text);
        };
        await withParticipant(config, { ...context, logger }, async (pool) => {
          const { call } = pool.roaming;
          const { participantId } = await call(PartyManagementServiceService.getParticipantId, {});
          say(`participant     ${participantId}`);
          const parties = config.treasuryParties.map(({ party }) => party);
          const rights = await checkRights(call, { parties, needs: needsOf(config) });
          if (rights.kind === 'UNKNOWN') say(`rights          unknown: ${rights.why}`);
          else {
            say(`user            ${rights.user}`);
            if (rights.findings.length === 0) say('rights          as they should be');
            for (const finding of rights.findings) {
              if (finding.kind === 'TOO_WIDE') {
                say(
                  `TOO WIDE        ${finding.right}${finding.party === null ? '' : ` ${finding.party}`}: ${finding.why}`,
                );
                continue;
              }
              complain(`MISSING RIGHT   ${finding.right} ${finding.party}: ${finding.why}`);
              say(`                ${finding.grant}`);
            }
          }
          try {
            const packages = packagesOf('SPLICE_AMULET');
            const missing = await missingPackages(call, { treasuries: config.treasuryParties, packages });
            if (missing.length === 0) say('packages        those of Canton Coin are vetted by every host');
            for (const each of missing) complain(`MISSING PACKAGE ${each.package} for ${each.treasury}: ${each.why}`);
          } catch (error) {
            complain(`PACKAGES        could not be looked at: ${messageOf(error)}`);
          }
          const ledger = createFailoverLedger(pool);
          await ledger.participantId();
          for (const { admin } of config.instruments.filter(({ id }) => id === 'Amulet')) {
            for (const { name, party } of config.treasuryParties) {
              try {
                const { preapproval, proposal } = await lookAtPreapproval(ledger, { party, admin, signal: requested });
                const now = context.clock.nowMicros();
                const seen = { checkedAt: now, trouble: null, expiresAt: preapproval?.expiresAt ?? null };
                const { state, alarm } = healthOf(seen, now);
                const until = preapproval === null ? '' : ` until ${formatRecordTime(preapproval.expiresAt)}`;
                const line = `preapproval     ${name}: ${state}${until}`;
                if (alarm === null) say(line);
                else complain(`${line}\n                ${alarm}`);
                if (proposal !== null)
                  say(`                proposed to ${proposal.provider}, who has not accepted yet`);
              } catch (error) {
                complain(`PREAPPROVAL     of ${name} could not be looked at: ${messageOf(error)}`);
              }
            }
          }
        });
        if (!isWell) context.end('no');
      });
    });
}
