/**
 * Loaded before `src/main.ts` (`node --import`): the command line's failpoints, which do nothing in production, become points at which whoever started the process can have it strike itself. Everything else is what
 * runs in production, byte for byte. Orders come as messages `{ points, hit, signal }`: at the n-th passing of any of these points; before it strikes, it writes `struck <name>` to standard output. `null` takes an order back, and is answered: until then the process may
 * still strike itself.
 */
import { writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

type Order = { readonly points: readonly string[]; readonly hit: number; readonly signal: NodeJS.Signals };

const PASS = Symbol.for('sluice.chaos.failpoint');
let order: (Order & { left: number }) | null = null;

Object.assign(globalThis, {
  [PASS]: (name: string): void => {
    if (order?.points.includes(name) !== true) return;
    order.left -= 1;
    if (order.left > 0) return;
    const { signal } = order;
    order = null;
    writeSync(1, `struck ${name}\n`);
    process.kill(process.pid, signal);
  },
});

process.on('message', (next: Order | null) => {
  order = next === null ? null : { ...next, left: next.hit };
  if (next === null) process.send?.('disarmed');
});
// Whoever started us was killed: nobody would end us any more.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.channel?.unref();

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('/src/env/failpoint.ts')) return loaded;
    const source = String(loaded.source);
    const armed = source.replace(
      /export const noFailpoints: Failpoint = async \(\) => \{[^}]*\};/,
      `export const noFailpoints: Failpoint = async (name) => globalThis[Symbol.for('sluice.chaos.failpoint')](name);`,
    );
    if (armed === source) throw new Error('The failpoints of the command line are no longer where they were.');
    return { ...loaded, source: armed };
  },
});
