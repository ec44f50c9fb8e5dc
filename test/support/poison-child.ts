/** A process that ingests and dies of one deposit: by SIGKILL, as for want of memory, or by an error that nobody thought of. */
import { startIngestion } from './ingestion.ts';

const settings = JSON.parse(process.env['INGESTION'] ?? '{}');
const poison = process.env['POISON_MEMO'];

const ingestion = await startIngestion({
  ...settings,
  sinks: [
    {
      name: 'poisoned',
      apply: async (_tx, _treasury, changes) => {
        if (!changes.some(({ memo }) => memo === poison)) return;
        if (process.env['DIES_BY'] === 'error') throw new TypeError('Nobody thought of this.');
        process.kill(process.pid, 'SIGKILL');
        // The signal takes a moment; nothing more may happen here.
        await new Promise(() => undefined);
      },
    },
  ],
});
await ingestion.ended;
await ingestion.stop();
