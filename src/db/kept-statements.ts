/**
 * Statements that a connection keeps: whatever is sent over it again and again is parsed and planned once, and named from then on. For short statements that is most of what the database does for them.
 *
 * PostgreSQL itself decides whether a kept statement gets one plan for all values or one for each, and plans anew when a table it reads has changed or was analysed. What differs each time (a list
 * written out, a filter that somebody put together) never comes often enough to be kept.
 *
 * A name is a digest of the text. Behind a pooler that gives each transaction another session of the server, a name may have been given there by somebody else: then it stands for the same text, or is not
 * known. Were names counted, it would stand for whatever that other had counted so far, and be run in the place of what was asked.
 *
 * @see PostgreSQL documentation, PREPARE, "Notes", and "Extended Query" in the chapter on the protocol.
 */
import { createHash } from 'node:crypto';

export type KeptStatements = {
  /** Counts a use of `statement` over this connection. @returns the name under which it is kept; null: it is not. */
  nameOf(connection: object, statement: string): string | null;
  /** What a statement kept as `name` answers has changed with a table, so it has over every connection: from now on each parses anew what it kept. */
  forget(name: string): void;
  /** Whoever stands between us and the server keeps nothing: from now on nothing is named. */
  giveUp(): void;
};

/** From this use on: a connection that lives for a few statements has nothing of it. */
const USES_MIN = 3;
/** A connection of the server holds a few dozen kilobytes for each. */
const KEPT_MAX = 200;
/** Texts that are counted; beyond it counting begins anew. */
const COUNTED_MAX = 500;

type Connection = {
  readonly generation: number;
  readonly names: Map<string, string>;
  readonly uses: Map<string, number>;
};

export function createKeptStatements(): KeptStatements {
  const connections = new WeakMap<object, Connection>();
  let isOver = false;
  let generation = 1;
  const prefix = (): string => `kept_${generation}_`;
  return {
    nameOf: (connection, statement) => {
      if (isOver) return null;
      let known = connections.get(connection);
      if (known?.generation !== generation) {
        known = { generation, names: new Map(), uses: new Map() };
        connections.set(connection, known);
      }
      const { names, uses } = known;
      const name = names.get(statement);
      if (name !== undefined) return name;
      if (names.size >= KEPT_MAX) return null;
      const count = (uses.get(statement) ?? 0) + 1;
      if (count < USES_MIN) {
        if (uses.size >= COUNTED_MAX) uses.clear();
        uses.set(statement, count);
        return null;
      }
      uses.delete(statement);
      const fresh = `${prefix()}${digestOf(statement)}`;
      names.set(statement, fresh);
      return fresh;
    },
    forget: (name) => {
      // Of several connections that meet the same change, one is enough.
      if (name.startsWith(prefix())) generation += 1;
    },
    giveUp: () => {
      isOver = true;
    },
  };
}

/** 160 bits, since a name has 63 characters at most. */
function digestOf(statement: string): string {
  return createHash('sha256').update(statement).digest('hex').slice(0, 40);
}

/** As PostgreSQL's errors show themselves: the message is in the language of the server, the code and the routine are not. */
export type StatementError = { readonly code?: string | undefined; readonly routine?: string | undefined };

/** What a kept statement answers has changed with a table: it is to be parsed anew, over a fresh connection. */
export function isOutdated({ code, routine }: StatementError): boolean {
  return code === '0A000' && routine === 'RevalidateCachedQuery';
}

/** A name is not known, or taken, over this connection: it does not lead to one session of the server, as through a pooler that changes it with each transaction. */
export function isNotKept({ code }: StatementError): boolean {
  return code === '26000' || code === '42P05';
}
