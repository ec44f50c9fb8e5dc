/**
 * The numbers of one process, as Prometheus reads them: what the logic counted, what the process and its pools are doing, and what the tables say. A registry of its own, no global one: two
 * services in one process, as tests have them, do not add up.
 *
 * The tables are asked at most every ten seconds, however many scrape. Where they do not answer in time their metrics are left out: a number that is not known is not shown, least of all an old one.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type Clock, elapsedMsOf, type Micros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Measures } from '../env/measures.ts';
import type { OperationFact } from '../read/operation-facts.ts';
import { createLabelLimit } from './label-limit.ts';
import { METRICS, type MetricDeclaration, type MetricName } from './metric-list.ts';

export type PoolReading = {
  readonly lane: string;
  readonly total: number;
  readonly idle: number;
  readonly waiting: number;
};

export type ProcessReading = {
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** User and system, since the start. */
  readonly cpuSeconds: number;
  /** Since 1970. */
  readonly startSeconds: number;
  /** Of the time since the last reading. */
  readonly loopLagSeconds: { readonly p50: number; readonly p99: number; readonly max: number };
};

export type ProcessGauges = { read(nowSeconds: number): ProcessReading; close(): void };

export type Metrics = {
  readonly measures: Measures;
  /** Every metric as text. Never fails: what cannot be read is missing, and `sluice_database_up` is 0. */
  scrape(): Promise<string>;
  /** Of {@link scrape}. */
  readonly contentType: string;
  /** A gauge that is asked at every scrape; null: not known now. Later ones of the same name replace earlier ones. */
  watch(name: MetricName, read: () => number | null): void;
  close(): void;
};

export type MetricsOptions = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly build: { readonly version: string; readonly node: string; readonly role: string };
  /** The tables; called at most every ten seconds. */
  readonly readFacts: (nowMicros: Micros) => Promise<readonly OperationFact[]>;
  readonly pools: () => readonly PoolReading[];
  readonly process: ProcessGauges;
};

const FACTS_AGE_MS_MAX = 10_000; // Prometheus asks every 15 s or more; several of them cost one reading.
const FACTS_WAIT_MS_MAX = 3_000; // Its scrape ends after 10 s by default, and the rest has to be there by then.

export function createMetrics({ clock, logger, build, readFacts, pools, process }: MetricsOptions): Metrics {
  const registry = new Registry();
  const gauge = (name: MetricName): Gauge => new Gauge({ ...configOf(name), registers: [registry] });
  const counter = (name: MetricName): Counter => {
    const counted = new Counter({ ...configOf(name), registers: [registry] });
    const { labels, shown = [] }: MetricDeclaration = METRICS[name];
    const [label] = labels;
    if (label !== undefined) for (const value of shown) counted.inc({ [label]: value }, 0);
    return counted;
  };
  const histogram = (name: MetricName): Histogram => new Histogram({ ...configOf(name), registers: [registry] });
  const watched = new Map<MetricName, () => number | null>();
  let facts: Promise<readonly OperationFact[] | null> | null = null;
  let factsAtMs: number | null = null;
  // A wall clock that is set back would have what was read then shown for as long.
  const nowMs = (): number => elapsedMsOf(clock);

  gauge('sluice_build_info').set({ ...build }, 1);
  const databaseUp = gauge('sluice_database_up');
  const connections = gauge('sluice_database_connections');
  const waiting = gauge('sluice_database_waiting');
  const loopLag = gauge('sluice_event_loop_lag_seconds');
  const resident = gauge('sluice_process_resident_bytes');
  const heap = gauge('sluice_process_heap_bytes');
  const started = gauge('sluice_process_start_seconds');
  const cpu = counter('sluice_process_cpu_seconds_total');
  let cpuSeconds = 0;

  /** @returns null where the tables do not answer, or not in time. */
  function readTables(): Promise<readonly OperationFact[] | null> {
    const beganMs = nowMs();
    // One reading at a time, also where it takes longer than it is good for.
    if (facts !== null && (factsAtMs === null || beganMs - factsAtMs < FACTS_AGE_MS_MAX)) return facts;
    factsAtMs = null;
    const reading = readFacts(clock.nowMicros()).then(
      (read) => {
        factsAtMs = beganMs;
        return read;
      },
      (error: unknown) => {
        logger.warn('The metrics of the tables could not be read.', { why: messageOf(error) });
        if (facts === reading) facts = null;
        return null;
      },
    );
    facts = reading;
    return reading;
  }

  async function tablesInTime(): Promise<readonly OperationFact[] | null> {
    const over = new AbortController();
    const tooLate = clock.sleep(FACTS_WAIT_MS_MAX, over.signal).then(() => null);
    const read = await Promise.race([readTables(), tooLate]);
    over.abort();
    return read;
  }

  function readProcess(): void {
    const seconds = Number(clock.nowMicros() / 1_000n) / 1_000;
    const reading = process.read(seconds);
    resident.set(reading.residentBytes);
    heap.set(reading.heapBytes);
    started.set(reading.startSeconds);
    cpu.inc(Math.max(0, reading.cpuSeconds - cpuSeconds));
    cpuSeconds = reading.cpuSeconds;
    for (const [quantile, lag] of Object.entries(reading.loopLagSeconds)) loopLag.set({ quantile }, lag);
    connections.reset();
    waiting.reset();
    for (const { lane, total, idle, waiting: queued } of pools()) {
      connections.set({ lane, state: 'idle' }, idle);
      connections.set({ lane, state: 'used' }, total - idle);
      waiting.set({ lane }, queued);
    }
  }

  return {
    measures: createMeasures({ counter, gauge, histogram }),
    contentType: registry.contentType,
    watch: (name, read) => {
      watched.set(name, read);
    },
    scrape: async () => {
      const tables = await tablesInTime();
      databaseUp.set(tables === null ? 0 : 1);
      readProcess();
      const asked = [...watched].flatMap(([name, read]) => {
        const value = read();
        return value === null ? [] : [{ name, labels: {}, value }];
      });
      const named = (tables ?? []).map((fact) => ({ ...fact, name: nameOf(fact.name) }));
      return `${await registry.metrics()}${await textOf([...named, ...asked])}`;
    },
    close: process.close,
  };
}

function createMeasures({
  counter,
  gauge,
  histogram,
}: {
  readonly counter: (name: MetricName) => Counter;
  readonly gauge: (name: MetricName) => Gauge;
  readonly histogram: (name: MetricName) => Histogram;
}): Measures {
  const updates = histogram('sluice_ingestion_batch_updates');
  const seconds = histogram('sluice_ingestion_batch_seconds');
  const lag = gauge('sluice_ingestion_lag_offsets');
  const ends = counter('sluice_stream_ends_total');
  const retries = counter('sluice_retries_total');
  const answers = counter('sluice_signer_answers_total');
  const signing = histogram('sluice_signer_seconds');
  const [reasonOf, codeOf, resultOf] = [createLabelLimit(), createLabelLimit(), createLabelLimit()];
  return {
    batchWritten: ({ treasury, updates: count, durationMs }) => {
      updates.observe({ treasury }, count);
      seconds.observe({ treasury }, durationMs / 1_000);
    },
    behind: ({ treasury, offsets }) => lag.set({ treasury }, Number(offsets)),
    streamEnded: ({ treasury, reason }) => {
      ends.inc({ treasury, reason: reasonOf(reason) });
      // Whoever follows it now says how far it is.
      lag.remove({ treasury });
    },
    retried: ({ work, code }) => retries.inc({ work, code: codeOf(code) }),
    signerAnswered: ({ result, durationMs }) => {
      answers.inc({ result: resultOf(result) });
      signing.observe(durationMs / 1_000);
    },
  };
}

function configOf(name: MetricName) {
  const { help, labels, buckets }: MetricDeclaration = METRICS[name];
  return { name, help, labelNames: [...labels], ...(buckets && { buckets: [...buckets] }) };
}

function nameOf(fact: string): MetricName {
  const name = `sluice_${fact}`;
  if (isMetric(name)) return name;
  throw new RangeError(`There is no metric ${name}.`);
}

function isMetric(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}

/** What was read for this one answer, and is in no registry: nothing of it is left when it cannot be read the next time. */
async function textOf(
  facts: readonly {
    readonly name: MetricName;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[],
): Promise<string> {
  const registry = new Registry();
  for (const [name, all] of Map.groupBy(facts, (fact) => fact.name)) {
    const shown = new Gauge({ ...configOf(name), registers: [registry] });
    if (METRICS[name].kind === 'counter') Object.assign(shown, { type: 'counter' });
    for (const { labels, value } of all) shown.set({ ...labels }, value);
  }
  return await registry.metrics();
}
