/** Where machines and people look at a process: the part of the environment's variables that says so. */
import { optional, withDefault } from './key.ts';
import * as values from './values.ts';

export const OPERATION_KEYS = {
  adminHost: withDefault('127.0.0.1', {
    variable: 'SLUICE_ADMIN_HOST',
    type: 'host name or IP address',
    meaning:
      'Where `/healthz`, `/readyz` and `/metrics` are served, apart from the API. They ask for no key and name no customer, but they are nobody’s business: keep them inside the network of whoever watches.',
    schema: values.host,
  }),
  adminPort: optional({
    variable: 'SLUICE_ADMIN_PORT',
    type: '0–65535',
    unit: 'TCP port',
    meaning:
      'The port of that. 0 takes any free one. Unset: 4001, or any free one where another process of this machine has it; the log says which.',
    schema: values.port,
  }),
  readyLagSeconds: withDefault('300', {
    variable: 'SLUICE_READY_LAG_SECONDS',
    type: '1–604800',
    unit: 'seconds',
    meaning:
      'How old the newest record time of a treasury may be before `/readyz` of a worker says no. A process with an API goes on to answer, and says how old its data is.',
    schema: values.wholeNumber(1, 604_800),
  }),
} as const;
