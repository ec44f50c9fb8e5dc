/**
 * What must not move although the database went back: halts, freezes, holds and parks, and keys of the API that were revoked. What stood when the database was lost, and what every process had written down outside of it, stands
 * again, whoever is the first to notice.
 */
import type pg from 'pg';
import { createApiKeyBook } from '../../src/auth/api-key-book.ts';
import type { Database } from '../../src/db/connection.ts';
import type { Clock } from '../../src/env/clock.ts';
import { RetryableError } from '../../src/env/errors.ts';
import type { Random } from '../../src/env/random.ts';
import { EVERYTHING } from '../../src/read/reach.ts';
import type { Anchor } from './anchor.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import type { Extension } from './serve-loop.ts';
import { must } from './violation.ts';

export type WhatStood = {
  /** Makes keys that somebody may revoke, before any process starts. */
  begin(db: Database, parts: { readonly clock: Clock; readonly random: Random }): Promise<void>;
  /** Through every process somebody revokes keys, now and then. */
  readonly extension: Extension;
  /** Right before the database goes back. */
  note(observer: pg.Client, anchors: readonly Anchor[]): Promise<void>;
  /** Right after it. */
  wentBack(observer: pg.Client): Promise<void>;
  /** @throws Violation. When the restore was noticed, and nobody works any more. */
  atRest(observer: pg.Client): Promise<void>;
};

type Standing = { readonly kind: 'halt' | 'freeze' | 'stop' | 'key'; readonly name: string };

export type WhatStoodOptions = { readonly faults: FaultPlan; readonly dice: Dice; readonly marks: Marks };

const KEYS = 4;
const PAUSE_MS_MAX = 6_000;

/** By names that outlive the database. */
const STANDING = `
  SELECT 'halt' AS kind, id AS name FROM halt WHERE lifted_at IS NULL
  UNION ALL SELECT 'freeze', cause || '/' || opened_at FROM money_freeze WHERE lifted_at IS NULL
  UNION ALL SELECT 'stop', withdrawal_id || '/' || kind || '/' || set_at FROM withdrawal_stop WHERE released_at IS NULL
  UNION ALL SELECT 'key', encode(sha256, 'hex') FROM api_key WHERE revoked_at IS NOT NULL`;

/** Withdrawals and keys that the backup does not know are nobody's to hold or to use. */
const KNOWN = `
  SELECT t.kind, t.name FROM unnest($1::text[], $2::text[]) AS t (kind, name)
  WHERE t.kind <> 'stop' OR EXISTS (SELECT FROM withdrawal WHERE id = split_part(t.name, '/', 1))`;

/** Standing or lifted since: what is here at all was put back. */
const MISSING = `
  SELECT t.kind, t.name FROM unnest($1::text[], $2::text[]) AS t (kind, name)
  WHERE CASE t.kind
    WHEN 'halt' THEN NOT EXISTS (SELECT FROM halt WHERE id = t.name)
    WHEN 'freeze' THEN NOT EXISTS (SELECT FROM money_freeze WHERE cause || '/' || opened_at = t.name)
    WHEN 'stop' THEN NOT EXISTS (SELECT FROM withdrawal_stop WHERE withdrawal_id || '/' || kind || '/' || set_at = t.name)
    ELSE EXISTS (SELECT FROM api_key WHERE encode(sha256, 'hex') = t.name AND revoked_at IS NULL)
  END`;

export function createWhatStood({ faults, dice, marks }: WhatStoodOptions): WhatStood {
  const keys: string[] = [];
  let stood: readonly Standing[] = [];
  const ask = async (observer: pg.Client, text: string): Promise<readonly Standing[]> => {
    const values = [stood.map(({ kind }) => kind), stood.map(({ name }) => name)];
    return (await observer.query<Standing>({ text, values })).rows;
  };
  return {
    begin: async (db, parts) => {
      const book = createApiKeyBook({ db, ...parts });
      for (let index = 0; index < KEYS; index += 1) {
        const wanted = { client: `client-${index}`, scopes: ['read'], reach: EVERYTHING, expiresAt: null } as const;
        keys.push((await book.create({ ...wanted, by: 'simulation' })).id);
      }
    },
    extension: {
      loop: async (life) => {
        while (!life.signal.aborted) {
          await life.clock.sleep(life.random.next() * PAUSE_MS_MAX, life.signal);
          if (life.signal.aborted || faults.isOver()) return;
          try {
            await createApiKeyBook(life).revoke(dice.pick(keys), { by: 'operator-1', why: 'lost' });
            marks.add('key of the API revoked');
          } catch (error) {
            if (!(error instanceof RetryableError)) throw error;
          }
        }
      },
    },
    note: async (observer, anchors) => {
      const { rows } = await observer.query<Standing>(STANDING);
      stood = rows.filter(({ kind, name }) => anchors.every((anchor) => isWritten(anchor, kind, name)));
      for (const { kind } of stood) marks.add(`database lost under a ${kind}`);
    },
    wentBack: async (observer) => {
      stood = await ask(observer, KNOWN);
    },
    atRest: async (observer) => {
      const missing = await ask(observer, MISSING);
      must(missing.length === 0, 'what must not move stands again after a restore', missing[0]);
    },
  };
}

/** Whether it stands in the process's file; read as what it is, JSON of src/submissions/held-money.ts, by its names alone. */
function isWritten(anchor: Anchor, kind: Standing['kind'], name: string): boolean {
  const text = JSON.stringify(anchor.kept());
  return (kind === 'stop' || kind === 'freeze' ? name.split('/') : [name]).every((part) =>
    text.includes(JSON.stringify(part)),
  );
}
