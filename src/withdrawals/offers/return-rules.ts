/** When an offer of ours is taken back, and how often that is tried. */
export type ReturnRules = {
  /** After its deadline an offer is left to its admin's own automation for so long: what that ends costs us nothing. */
  readonly reclaimAfterMs: number;
  /** Attempts that the offer itself makes fail; then its return is parked. What fails because a service is away only waits. */
  readonly triesMax: number;
  /** The wait after the first attempt that came to nothing; it doubles from one to the next. */
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** Tries of one attempt. */
  readonly triesPerAttemptMax: number;
};

export const DEFAULT_RETURN_RULES: ReturnRules = {
  reclaimAfterMs: 5_000, // What reacts at once has reacted; a customer who waits for his money does not notice.
  triesMax: 8, // With the waits between them, some hours: then a person has to look.
  backoffMsMin: 10_000,
  backoffMsMax: 3_600_000,
  triesPerAttemptMax: 3, // What has been executed is usually seen within a second.
};
