/** What is refused of those who change the policy, and what to do about it. */
import { PermanentError } from '../env/errors.ts';

const REFUSALS = {
  POLICY_INVALID: [
    'It is no policy.',
    'It would decide about money, so nothing of it is guessed.',
    'The message names what is wrong; docs/guides/policy.md has every rule.',
  ],
  POLICY_NOT_SET: [
    'Nobody has set a policy yet.',
    'There is none that says who approves the first one, so whoever runs this installation sets it.',
    'Run `sluice policy propose FILE`, which puts the first policy in force at once.',
  ],
  POLICY_UNCHANGED: [
    'It is the policy that holds.',
    'There is nothing to approve.',
    'Propose what is to be different.',
  ],
  PROPOSAL_UNKNOWN: [
    'There is no such proposal.',
    'Only what was proposed can be approved.',
    'Look it up in `policy`.',
  ],
  PROPOSAL_CLOSED: [
    'It is decided already, or came too late.',
    'Somebody refused it, it was enacted, its time ran out, or another change came first.',
    'Propose it again, for the policy as it is now.',
  ],
  PROPOSAL_CHANGED: [
    'It is not what you looked at.',
    'An approval is bound to the hash of the whole policy.',
    'Read it again with its `hash`, and decide about that.',
  ],
  SAME_PERSON: [
    'Who proposes a policy cannot approve it.',
    'Nobody changes alone what others have to approve, and another key of the same person is not somebody else.',
    'Have another person with the scope `approve` approve it.',
  ],
  ALREADY_DECIDED: [
    'You have said the contrary before.',
    'One person has one word, and it stands.',
    'Ask somebody else.',
  ],
  REASON_INVALID: [
    'The reason cannot be kept.',
    'It is kept for ever, for those who ask later why it was done.',
    'Give 1 to 1000 bytes of text that can be typed.',
  ],
  NETWORK_UNKNOWN: [
    'The network is not known here yet.',
    'A policy belongs to a network, which is registered when the service first starts.',
    'Start the service once, or check SLUICE_NETWORK.',
  ],
} as const satisfies Record<string, readonly [string, string, string]>;

export type PolicyChangeRefusalCode = keyof typeof REFUSALS;

export const POLICY_CHANGE_REFUSAL_CODES = Object.keys(REFUSALS) as readonly PolicyChangeRefusalCode[];

/** Nothing was changed. */
export class PolicyChangeRefusal extends PermanentError {
  readonly advice: { readonly why: string; readonly fix: string };
  constructor(code: PolicyChangeRefusalCode, message?: string) {
    const [text, why, fix] = REFUSALS[code];
    super(code, message ?? text);
    this.advice = { why, fix };
  }
}
