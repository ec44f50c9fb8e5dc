/**
 * What GraphiQL offers to begin with: a tab per task, in the order in which one meets them. Where a tab holds several operations the play button asks which one.
 *
 * Every one of them runs as it stands against `npm start`; a test does that.
 */
import { CUSTOMER_SAMPLES } from './graphiql-customer-samples.ts';
import { OPERATOR_SAMPLES } from './graphiql-operator-samples.ts';
import type { SampleTab } from './graphiql-sample.ts';

export const SAMPLE_TABS: readonly SampleTab[] = [...CUSTOMER_SAMPLES, ...OPERATOR_SAMPLES];
