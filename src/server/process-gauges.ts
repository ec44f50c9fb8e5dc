/** What the process itself is doing: memory, processor, and by how much its timers are late. The only place beside the command line that asks the process for it. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ProcessGauges } from '../metrics/metrics.ts';

const RESOLUTION_MS = 20; // Fifty timers a second cost nothing; a stall below that disturbs nobody.
const NANOS = 1e9;

export function createProcessGauges(): ProcessGauges {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  // The histogram holds the whole distance between two timers, of which the resolution is none of our lag.
  const lagOf = (nanos: number): number =>
    Number.isFinite(nanos) ? Math.max(0, nanos / NANOS - RESOLUTION_MS / 1_000) : 0;
  return {
    read: (nowSeconds) => {
      const { rss, heapUsed } = process.memoryUsage();
      const { user, system } = process.cpuUsage();
      const loopLagSeconds = {
        p50: lagOf(delay.percentile(50)),
        p99: lagOf(delay.percentile(99)),
        max: lagOf(delay.max),
      };
      delay.reset();
      return {
        residentBytes: rss,
        heapBytes: heapUsed,
        cpuSeconds: (user + system) / 1e6,
        startSeconds: nowSeconds - process.uptime(),
        loopLagSeconds,
      };
    },
    close: () => {
      delay.disable();
    },
  };
}
