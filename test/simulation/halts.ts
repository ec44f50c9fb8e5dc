/** Which hashes were asked for before a halt and which after it, in the order in which the database committed them. */
export type HaltView = {
  /** One row per halt that stands and hash that it covers. */
  readonly haltedHashes: readonly { readonly haltId: string; readonly hash: string }[];
  /** Halts that stand. */
  readonly halts: readonly string[];
};

export type Halts = {
  /** After every commit. */
  note(view: HaltView): void;
  /** Whether a hash was written down for the first time while a halt stood that covers it: then it must not be signed. */
  forbid(hash: string): boolean;
};

/** Columns of one row. */
export const HALT_VIEW = `
  (SELECT coalesce(json_agg(h.id), '[]') FROM halt h WHERE h.lifted_at IS NULL) AS halts,
  (SELECT coalesce(json_agg(json_build_object('haltId', h.id, 'hash', encode(x.hash, 'hex'))), '[]')
   FROM halt h JOIN submission s ON (h.treasury_id IS NULL OR h.treasury_id = s.treasury_id) AND (h.instrument_id IS NULL OR h.instrument_id = s.instrument_id)
   JOIN signed_hash x ON x.submission_id = s.id WHERE h.lifted_at IS NULL) AS "haltedHashes"`;

export function createHalts(): Halts {
  /** Per halt that stands: what was asked for before it. */
  const before = new Map<string, Set<string>>();
  let forbidden = new Set<string>();
  return {
    note: ({ halts, haltedHashes }) => {
      for (const id of [...before.keys()]) if (!halts.includes(id)) before.delete(id);
      forbidden = new Set();
      for (const id of halts) {
        const covered = haltedHashes.filter(({ haltId }) => haltId === id).map(({ hash }) => hash);
        const known = before.get(id);
        if (known === undefined) before.set(id, new Set(covered));
        else for (const hash of covered) if (!known.has(hash)) forbidden.add(hash);
      }
    },
    forbid: (hash) => forbidden.has(hash),
  };
}
