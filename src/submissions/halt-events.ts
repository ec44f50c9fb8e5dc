/** What the event log says of halts: one event per word on one, written in its transaction. Its subject is the halt. */
import { z } from 'zod';

export const HALT_CHANGED = 'halt.changed';

export const haltChangedPayload = z.object({
  haltId: z.string(),
  /** Null: every treasury party. */
  treasuryParty: z.string().nullable(),
  /** Null: every instrument. */
  instrument: z.object({ admin: z.string(), id: z.string() }).nullable(),
  why: z.string(),
  haltedBy: z.string(),
  /** Null: nobody wants it lifted. */
  liftAskedBy: z.string().nullable(),
  /** Null: it stands. */
  liftedBy: z.string().nullable(),
  liftWhy: z.string().nullable(),
});

export type HaltChanged = z.infer<typeof haltChangedPayload>;
