/**
 * Every metric that a process shows, each with its meaning: the registry, docs/metrics.md and the test of the alerts are made from this one list.
 *
 * `TABLE` metrics are read from the database and are the same at every process that shares it: take the `max` over instances. `PROCESS` metrics are this process's own.
 */
export type MetricDeclaration = {
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly from: 'TABLE' | 'PROCESS';
  readonly labels: readonly string[];
  readonly help: string;
  /** Of a histogram: upper bounds. */
  readonly buckets?: readonly number[];
  /** Of a counter with one label: values that are shown from the start, as 0. To Prometheus a series that begins at 1 has not increased, and the first time would be missed. */
  readonly shown?: readonly string[];
};

const table = (help: string, ...labels: readonly string[]): MetricDeclaration => ({
  kind: 'gauge',
  from: 'TABLE',
  labels,
  help,
});
const own = (kind: 'gauge' | 'counter', help: string, ...labels: readonly string[]): MetricDeclaration => ({
  kind,
  from: 'PROCESS',
  labels,
  help,
});

export const METRICS = {
  sluice_build_info: own(
    'gauge',
    'Always 1; which version this is, on which Node.js, in which role.',
    'version',
    'node',
    'role',
  ),
  sluice_ready: own('gauge', '1 where `/readyz` says yes.'),
  sluice_database_up: own(
    'gauge',
    '1 where the database answered within the time a scrape has; 0: the metrics of kind table are missing.',
  ),

  sluice_ingestion_halted: table('1 where the stream stands still because its position is in doubt.', 'treasury'),
  sluice_ingestion_lag_seconds: table(
    'Wall clock less the newest record time read. It grows while the ledger is idle too, until its next checkpoint.',
    'treasury',
  ),
  sluice_ingestion_silence_seconds: table(
    'Since the last message of the participant, checkpoints included.',
    'treasury',
  ),
  sluice_ingestion_offset: table(
    'The offset everything up to which is stored. Of the participant that is followed; another one numbers otherwise.',
    'treasury',
  ),
  sluice_ingestion_updates: table('Updates stored, ever.', 'treasury'),
  sluice_ingestion_epochs: table(
    'How often the place was found, or found again, on a participant. One more is a switch or a restore.',
    'treasury',
  ),
  sluice_quarantine_open: table('Updates that are set aside, not understood.', 'treasury'),
  sluice_verification_age_seconds: table('Since books and holdings were last compared with the ledger.', 'treasury'),
  sluice_books_differ: table('1 where that comparison found a difference, 0 where none.', 'treasury'),
  sluice_invariant_broken: table(
    '1 where the invariant was found broken when last looked at, 0 where it holds; docs/reliability.md says what each is.',
    'invariant',
  ),
  sluice_invariant_age_seconds: table('Since the invariants were last looked at. Missing before the first look.'),
  sluice_preapproval_expiry_seconds: table(
    'Until the transfer preapproval of a treasury ends. 0: there is none, or it has ended.',
    'treasury',
  ),
  sluice_preapproval_look_age_seconds: table('Since a participant last showed that preapproval.', 'treasury'),
  sluice_traffic_left_bytes: table(
    'Extra traffic that is left of what was bought, less what was claimed since. Missing where none was ever bought.',
    'participant',
  ),
  sluice_traffic_reserve_bytes: own('gauge', 'Extra traffic below which nothing is submitted.'),
  sluice_withdrawals_open: table('Withdrawals that are not final.', 'state'),
  sluice_withdrawals_oldest_seconds: table(
    'How long ago the oldest of them was requested; 0 where there is none.',
    'state',
  ),
  sluice_withdrawals_stuck: table(
    'Withdrawals that are older than they should be, by what they wait for, among the first 500; `sluice stuck` shows them.',
    'code',
  ),
  sluice_halts_open: table('Halts that people have set.'),
  sluice_freezes_open: table(
    'Freezes of money that are not lifted. `OPERATOR`: those of people; the others Sluice set itself.',
    'reason',
  ),
  sluice_database_restores: table('How often it was noticed that the database went back in time.'),
  sluice_restored_withdrawals_open: table(
    'Withdrawals that are held since, until their client or a person wants them again.',
  ),
  sluice_outbox_waiting: table('Events that are committed and have no position of the log yet, counted up to 10,000.'),
  sluice_log_position: table('The newest position of the event log.'),
  sluice_notification_queue_ratio: table(
    'How much of the server’s room for notifications is taken, 0 to 1. At 1 nobody can commit who tells of something.',
  ),
  sluice_screenings_waiting: table('Deposits that wait for a screening service or, parked, for people.', 'state'),
  sluice_desk_cases_open: table('Deposits without an owner that wait for people.'),
  sluice_registry_instances_failing: table(
    'Instances of registries and Scan that fail or rest after failing, as processes last reported them.',
  ),

  sluice_ingestion_lag_offsets: own(
    'gauge',
    'The end of the participant’s ledger less our offset, where this process follows the stream. Offsets that are not about us count as well.',
    'treasury',
  ),
  sluice_ingestion_batch_updates: {
    kind: 'histogram',
    from: 'PROCESS',
    labels: ['treasury'],
    help: 'Updates committed together. At the head of the ledger one, in a backlog hundreds.',
    buckets: [0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000],
  },
  sluice_ingestion_batch_seconds: {
    kind: 'histogram',
    from: 'PROCESS',
    labels: ['treasury'],
    help: 'How long a batch took to be written and committed.',
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
  },
  sluice_stream_ends_total: own(
    'counter',
    'Streams of updates that ended, by the code of why; `STOPPED`: we left.',
    'treasury',
    'reason',
  ),
  sluice_retries_total: own('counter', 'What was done again, by the code of why.', 'work', 'code'),
  sluice_signer_answers_total: {
    ...own('counter', 'What the signer answered: `SIGNED`, or the code of why not.', 'result'),
    shown: [
      'SIGNED',
      'SIGNATURE_INVALID',
      'SIGNING_ATTEMPT_CHANGED',
      'SIGNING_INPUT_NOT_KEPT',
      'SIGNING_LIMIT',
      'SIGNING_POLICY',
      'SIGNING_REQUEST_INVALID',
      'SIGNING_REQUEST_REUSED',
      'SIGNING_SUBMISSION_CHANGED',
    ],
  },
  sluice_signer_seconds: {
    kind: 'histogram',
    from: 'PROCESS',
    labels: [],
    help: 'How long the signer took to answer.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60],
  },
  sluice_websockets_open: own('gauge', 'WebSockets of the API.'),
  sluice_subscribers: own('gauge', 'Subscriptions of clients, over WebSocket and SSE.'),
  sluice_subscriptions_executed: own(
    'gauge',
    'How many different ones they are: the same one of many clients is executed once.',
  ),
  sluice_slow_readers_total: own('counter', 'Subscriptions that were cut off because their client did not read.'),
  sluice_jwks_age_seconds: own(
    'gauge',
    'Since the keys of the identity providers were fetched, of the oldest; since the start of the process where they never were. Missing where none is configured.',
  ),
  sluice_log_readers_waiting: own(
    'gauge',
    'Readers of the event log that wait for the next event. One reader serves all that ask the same.',
  ),
  sluice_log_pages_total: own('counter', 'Pages of the event log that were read for those who are behind.'),
  sluice_log_ring_events: own('gauge', 'Events held in memory for those who follow.'),
  sluice_log_ring_bytes: own('gauge', 'What they take, payloads only.'),
  sluice_database_connections: own('gauge', 'Connections to PostgreSQL, by the kind of work.', 'lane', 'state'),
  sluice_database_waiting: own('gauge', 'Pieces of work that wait for a connection.', 'lane'),
  sluice_event_loop_lag_seconds: own('gauge', 'By how much timers were late since the last scrape.', 'quantile'),
  sluice_process_resident_bytes: own('gauge', 'Memory of the process.'),
  sluice_process_heap_bytes: own('gauge', 'Of that, the JavaScript heap in use.'),
  sluice_process_cpu_seconds_total: own('counter', 'Processor time used, user and system.'),
  sluice_process_start_seconds: own('gauge', 'When the process started, seconds since 1970.'),
} as const satisfies Record<string, MetricDeclaration>;

export type MetricName = keyof typeof METRICS;
