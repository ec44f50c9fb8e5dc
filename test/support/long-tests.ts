/**
 * What `npm test` leaves to `npm run test:long`: what starts, kills, and replaces processes, databases, and participants of its own, by the dozen, restores, agreements of many registries, crowds and races, what takes its time, and the mistakes that are
 * planted to see whether the others find them. Half of the work of all tests is here; a continuous integration runs both. What kills at every named point of the work is in `npm test`, with the simulation and the chaos schedules.
 */
export const LONG_TESTS = [
  'test/mutants/**/*.test.ts',
  'test/drills/**/*.test.ts',
  'test/outages/**/*.test.ts',
  'test/processes/**/*.test.ts',
  'test/examples/**/*.test.ts',
  'test/**/*processes.test.ts',
  'test/books/{invariants,killed-callers,withdrawals-of-customers}.test.ts',
  'test/recovery/**/*.test.ts',
  'test/scan/**/*.test.ts',
  'test/client/**/*.test.ts',
  'test/withdrawals/{guide,hints,hung-signer,kill,ledger-refusals,offer-ends,offer-outcomes,request-kill,retries,starvation,submission-budget,traffic}.test.ts',
  'test/directory/token-directory.test.ts',
  'test/policy/velocity.test.ts',
  'test/deposits/{acceptance,guide,screening-no-answer,whose-verdict}.test.ts',
  'test/signer/payouts.test.ts',
  'test/api/{attacks,deposit-feed,held-up-streams,withdrawal-races}.test.ts',
  'test/e2e/**/*.test.ts',
  'test/ingestion/{anchor,crash-loop,endpoint-failover,kill,many-movements,outage,rebuild,reparse,token-expiry,verify,zombie}.test.ts',
  'test/roles/{canaries,serving}.test.ts',
  'test/db/embedded.test.ts',
];
