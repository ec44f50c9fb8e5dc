/** Which hashes were asked for before a halt and which after it, in the order in which the database committed them. */
import type { Decided } from './statement-text.ts';
import { must } from './violation.ts';

export type HaltView = {
  /** One row per halt that stands and hash that it covers. */
  readonly haltedHashes: readonly { readonly haltId: string; readonly hash: string }[];
  /** Per halt that stands: tries of what it covers. */
  readonly haltedTries: readonly { readonly haltId: string; readonly tries: number }[];
  /** Halts that stand. */
  readonly halts: readonly string[];
};

export type Halts = {
  /** After every commit. */
  note(view: HaltView): void;
  /** Whether a hash was written down for the first time while a halt stood that covers it: then it must not be signed. */
  forbid(hash: string): boolean;
  /** The database went back: what it knew of tries and hashes is gone. */
  wentBack(): void;
};

/** Columns of one row. */
export const HALT_VIEW = `
  (SELECT coalesce(json_agg(t), '[]') FROM (
     SELECT h.id AS "haltId", sum(a.tries)::int AS tries
     FROM halt h JOIN submission s ON (h.treasury_id IS NULL OR h.treasury_id = s.treasury_id) AND (h.instrument_id IS NULL OR h.instrument_id = s.instrument_id)
     JOIN attempt a ON a.submission_id = s.id WHERE h.lifted_at IS NULL GROUP BY 1) AS t) AS "haltedTries",
  (SELECT coalesce(json_agg(h.id), '[]') FROM halt h WHERE h.lifted_at IS NULL) AS halts,
  (SELECT coalesce(json_agg(json_build_object('haltId', h.id, 'hash', encode(x.hash, 'hex'))), '[]')
   FROM halt h JOIN submission s ON (h.treasury_id IS NULL OR h.treasury_id = s.treasury_id) AND (h.instrument_id IS NULL OR h.instrument_id = s.instrument_id)
   JOIN signed_hash x ON x.submission_id = s.id WHERE h.lifted_at IS NULL) AS "haltedHashes"`;

/**
 * @param underWay what transactions have decided that have not committed. A halt waits for nobody, least of all for those whom it halts: what was decided before it was committed is no longer stopped by it.
 */
export function createHalts(underWay: () => Decided): Halts {
  /** Per halt that stands: what was asked for before it. */
  const before = new Map<string, Set<string>>();
  const triesMax = new Map<string, number>();
  let forbidden = new Set<string>();
  return {
    note: ({ halts, haltedHashes, haltedTries }) => {
      const decided = underWay();
      for (const id of [...triesMax.keys()]) if (!halts.includes(id)) triesMax.delete(id);
      for (const id of halts) {
        const tries = haltedTries.find(({ haltId }) => haltId === id)?.tries ?? 0;
        must(tries <= (triesMax.get(id) ?? tries), 'nothing is sent under a halt', { id, tries });
        triesMax.set(id, Math.min(triesMax.get(id) ?? Number.POSITIVE_INFINITY, tries + decided.tries));
      }
      for (const id of [...before.keys()]) if (!halts.includes(id)) before.delete(id);
      forbidden = new Set();
      for (const id of halts) {
        const covered = haltedHashes.filter(({ haltId }) => haltId === id).map(({ hash }) => hash);
        const known = before.get(id);
        if (known === undefined) before.set(id, new Set([...covered, ...decided.hashes]));
        else for (const hash of covered) if (!known.has(hash)) forbidden.add(hash);
      }
    },
    forbid: (hash) => forbidden.has(hash),
    wentBack: () => {
      before.clear();
      triesMax.clear();
      forbidden = new Set();
    },
  };
}
