/** `sluice proof`: what a counterparty or an auditor needs to verify a transfer, as one JSON document; from the database alone. */
import { Command } from 'commander';
import { formatRecordTime } from '../env/record-time.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { printProof, readProofOfTransfer } from '../read/proof-of-transfer.ts';
import type { CommandContext } from './command-context.ts';
import { withDatabase } from './with-database.ts';

export function proofCommand(context: CommandContext): Command {
  return new Command('proof')
    .description('the proof of a transfer, as JSON; exit code 1 where there is none')
    .argument('<transfer-id>', '`tr_…`, as the API and events name it')
    .action(async (transferId: string) => {
      await withDatabase(context, 'sluice-proof', async (db) => {
        const proof = isStorableText(transferId) ? await readProofOfTransfer(db, transferId) : null;
        if (proof === null) return context.end('no');
        context.terminal.print(JSON.stringify(printProof(proof, formatRecordTime), null, 2));
      });
    });
}
