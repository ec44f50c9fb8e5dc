/**
 * The token directory: the one place that says which instruments are ours, which registry speaks for them, and what is done with them. The configuration only gives its first
 * entries (`configured-tokens.ts`); afterwards whoever operates the treasury decides here, and every decision is kept with who took it and why.
 *
 * What the registry says of a token is taken once, when the token is added (or, for a configured one, at the first look), and pinned. Another name, symbol, number of decimals or
 * admin later on changes nothing here: it is shown as a difference, until somebody who has looked at it pins anew.
 */
import { sql } from 'kysely';
import type { ReadSource } from '../config/read-source.ts';
import type { Database, Transaction } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import { liftFreeze, openFreeze } from '../ingestion/freezes.ts';
import { readSourceOf, readTokens, type Token, type TokenKey, type TokenPolicy } from '../read/tokens.ts';
import type { OpenRegistry, TokenMetadata } from './registry-access.ts';
import {
  DEFAULT_POLICY,
  demandPackages,
  demandPolicy,
  demandRegistry,
  demandText,
  implementationOf,
  packagesOf,
} from './token-policy.ts';
import { TokenRefusal, TokenRegistrySilent } from './token-refusal.ts';
import {
  acceptInstrument,
  type Decision,
  insertToken,
  note,
  policyColumns,
  policyOf,
  shown,
  shownPin,
  sourceShown,
  writePin,
  writeRegistry,
} from './token-rows.ts';

export type NewToken = TokenKey & {
  /** Ours, for people. */
  readonly name: string;
  /** Null: as another token of the same admin has it. */
  readonly registry: ReadSource | null;
  /** Null: Canton Coin by its id, anything else by what the standard promises. */
  readonly implementation: Token['implementation'] | null;
  /** Beyond those of the implementation. */
  readonly packages: readonly string[];
  readonly policy: Partial<TokenPolicy>;
};

export type TokenDirectory = {
  /**
   * Asks the registry and adds the token, frozen: deposits of it are credited, nothing of it is paid until it is enabled.
   * @throws TokenRefusal TOKEN_EXISTS, TOKEN_INPUT_INVALID, TOKEN_REGISTRY_OF_ANOTHER_ADMIN, TOKEN_UNKNOWN_TO_REGISTRY; TokenRegistrySilent. Nothing was written.
   */
  add(token: NewToken, decision: Decision): Promise<Token>;
  /** @param version of the entry as the caller saw it. @throws TokenRefusal TOKEN_UNKNOWN, TOKEN_INPUT_INVALID, TOKEN_CHANGED_MEANWHILE. */
  setPolicy(key: TokenKey, version: number, changes: Partial<TokenPolicy>, decision: Decision): Promise<Token>;
  /** For every token of the admin. The new source is asked first: its admin must be the same. @throws as `add`, and TOKEN_UNKNOWN. */
  setRegistry(key: TokenKey, source: ReadSource, decision: Decision): Promise<Token>;
  /**
   * Judges what is signed of a token by other rules. Only while an operator has frozen it: what is under way was judged by the former ones.
   * @throws TokenRefusal TOKEN_UNKNOWN, TOKEN_NOT_READY where it is not frozen.
   */
  setImplementation(key: TokenKey, implementation: Token['implementation'], decision: Decision): Promise<Token>;
  /** Takes what the registry says now. @throws as `add`, and TOKEN_UNKNOWN. */
  pin(key: TokenKey, decision: Decision): Promise<Token>;
  /** Nothing of it is reserved or signed from now on. Harmless when repeated. @throws TokenRefusal TOKEN_UNKNOWN. */
  freeze(key: TokenKey, decision: Decision): Promise<Token>;
  /** @throws TokenRefusal TOKEN_UNKNOWN; TOKEN_NOT_READY while its registry differs from what was pinned, or a host lacks a package. */
  enable(key: TokenKey, decision: Decision): Promise<Token>;
};

type Row = { readonly id: number; readonly networkId: number; readonly token: Token };

export function createTokenDirectory(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly openRegistry: OpenRegistry;
}): TokenDirectory {
  const { db, clock, openRegistry } = options;

  /** Runs `work` on the locked entry. */
  const changing = async (key: TokenKey, work: (tx: Transaction, row: Row) => Promise<void>): Promise<Token> =>
    await db.transaction().execute(async (tx) => {
      await work(tx, await locked(tx, key));
      return await known(tx, key);
    });

  return {
    add: async (wanted, decision) => {
      const implementation = wanted.implementation ?? implementationOf(wanted.instrumentId);
      const policy = demandPolicy({ ...DEFAULT_POLICY, ...wanted.policy }, implementation);
      const packages = demandPackages([...packagesOf(implementation), ...wanted.packages]);
      const name = demandText('name', wanted.name);
      demandText('admin', wanted.admin);
      demandText('instrumentId', wanted.instrumentId);
      demandDecision(decision);
      const network = await networkId(db, wanted.network);
      if ((await readTokens(db, [wanted]))[0] != null) throw exists(wanted);
      const source =
        wanted.registry === null ? await sourceOf(db, network, wanted.admin) : demandRegistry(wanted.registry);
      const found = await metadataOf(openRegistry, wanted, source);
      const nowMicros = clock.nowMicros();
      return await db.transaction().execute(async (tx) => {
        if (wanted.registry !== null)
          await writeRegistry(tx, { network, admin: wanted.admin, instrumentId: '' }, source);
        const id = await acceptInstrument(tx, network, { ...wanted, name });
        const { inserted } = await insertToken(tx, id, {
          policy,
          implementation,
          packages,
          nowMicros,
          by: decision.by,
        });
        if (!inserted) throw exists(wanted);
        await writePin(tx, id, found, nowMicros);
        await openFreeze(tx, { ...scopeOf(id), ...decided(decision), detail: 'Added; not enabled yet.', nowMicros });
        const token = await known(tx, wanted);
        await note(tx, id, { action: 'ADDED', before: null, after: shown(token), nowMicros, ...decision });
        return token;
      });
    },
    setPolicy: async (key, version, changes, decision) =>
      await changing(key, async (tx, { id, token }) => {
        demandDecision(decision);
        if (token.version !== version) {
          throw new TokenRefusal('TOKEN_CHANGED_MEANWHILE', `The entry is at version ${token.version}.`, 'version');
        }
        const policy = demandPolicy({ ...policyOf(token), ...changes }, token.implementation);
        await tx
          .updateTable('token')
          .set({ ...policyColumns(policy), version: version + 1 })
          .where('instrument_id', '=', id)
          .execute();
        const facts = { before: { ...policyOf(token) }, after: { ...policy }, nowMicros: clock.nowMicros() };
        await note(tx, id, { action: 'POLICY', ...facts, ...decision });
      }),
    setImplementation: async (key, implementation, decision) =>
      await changing(key, async (tx, { id, token }) => {
        demandDecision(decision);
        if (!token.isFrozen) {
          throw new TokenRefusal('TOKEN_NOT_READY', 'Freeze the token first.', 'instrument');
        }
        const former = packagesOf(token.implementation);
        const packages = [...packagesOf(implementation), ...token.packages.filter((name) => !former.includes(name))];
        demandPolicy(policyOf(token), implementation);
        await tx
          .updateTable('token')
          .set({ implementation, packages: [...new Set(packages)], version: token.version + 1 })
          .where('instrument_id', '=', id)
          .execute();
        const facts = { before: shown(token), after: shown({ ...token, implementation, packages }) };
        await note(tx, id, { action: 'POLICY', ...facts, nowMicros: clock.nowMicros(), ...decision });
      }),
    setRegistry: async (key, wanted, decision) => {
      demandDecision(decision);
      const source = demandRegistry(wanted);
      await known(db, key);
      await metadataOf(openRegistry, key, source);
      return await changing(key, async (tx, { id, networkId: network, token }) => {
        await writeRegistry(tx, { network, admin: key.admin, instrumentId: '' }, source);
        // What the former one said, or kept to itself, says nothing of this one.
        await tx.updateTable('token').set({ registry_tried_at: null }).where('instrument_id', '=', id).execute();
        const facts = { before: sourceShown(token.registry), after: sourceShown(source), nowMicros: clock.nowMicros() };
        await note(tx, id, { action: 'REGISTRY', ...facts, ...decision });
      });
    },
    pin: async (key, decision) => {
      demandDecision(decision);
      const { registry } = await known(db, key);
      if (registry === null) throw new TokenRefusal('TOKEN_NOT_READY', 'No registry is known for its admin.');
      const found = await metadataOf(openRegistry, key, registry);
      return await changing(key, async (tx, { id, token }) => {
        const nowMicros = clock.nowMicros();
        await writePin(tx, id, found, nowMicros);
        const { name, symbol, decimals } = found;
        const before = token.pinned && shownPin(token.pinned);
        await note(tx, id, { action: 'PINNED', before, after: { name, symbol, decimals }, nowMicros, ...decision });
      });
    },
    freeze: async (key, decision) =>
      await changing(key, async (tx, { id, token }) => {
        demandDecision(decision);
        const nowMicros = clock.nowMicros();
        const freeze = { ...scopeOf(id), ...decided(decision), detail: decision.why, nowMicros };
        if (!(await openFreeze(tx, freeze))) return;
        const facts = { before: { isFrozen: token.isFrozen }, after: { isFrozen: true }, nowMicros };
        await note(tx, id, { action: 'FROZEN', ...facts, ...decision });
      }),
    enable: async (key, decision) =>
      await changing(key, async (tx, { id, token }) => {
        demandDecision(decision);
        demandReady(token);
        const nowMicros = clock.nowMicros();
        const open = await tx
          .selectFrom('money_freeze')
          .select('id')
          .where('instrument_id', '=', id)
          .where('treasury_id', 'is', null)
          .where('reason', '=', 'OPERATOR')
          .where('lifted_at', 'is', null)
          .executeTakeFirst();
        if (open === undefined) return;
        await liftFreeze(tx, { id: open.id, by: decision.by, detail: decision.why, nowMicros });
        const facts = { before: { isFrozen: true }, after: { isFrozen: false }, nowMicros };
        await note(tx, id, { action: 'ENABLED', ...facts, ...decision });
      }),
  };
}

/**
 * @returns what the registry says of the token.
 * @throws TokenRefusal TOKEN_REGISTRY_OF_ANOTHER_ADMIN, TOKEN_UNKNOWN_TO_REGISTRY; TokenRegistrySilent.
 */
async function metadataOf(
  openRegistry: OpenRegistry,
  { admin, instrumentId }: TokenKey,
  source: ReadSource,
): Promise<TokenMetadata> {
  let adminId: string;
  let found: TokenMetadata | null;
  try {
    const registry = openRegistry({ admin, id: instrumentId }, source);
    [adminId, found] = await Promise.all([registry.adminId(), registry.metadata()]);
  } catch (error) {
    throw new TokenRegistrySilent(messageOf(error), { cause: error });
  }
  if (adminId !== admin) {
    throw new TokenRefusal('TOKEN_REGISTRY_OF_ANOTHER_ADMIN', `It is the registry of ${adminId}.`, 'urls');
  }
  if (found?.id === instrumentId) return found;
  throw new TokenRefusal('TOKEN_UNKNOWN_TO_REGISTRY', `The registry knows no ${instrumentId}.`, 'instrumentId');
}

async function locked(tx: Transaction, key: TokenKey): Promise<Row> {
  const { rows } = await sql<{ id: number; networkId: number }>`
    SELECT instrument.id, instrument.network_id AS "networkId"
    FROM token
    JOIN instrument ON instrument.id = token.instrument_id
    JOIN network ON network.id = instrument.network_id
    WHERE network.name = ${key.network} AND instrument.admin = ${key.admin} AND instrument.instrument_id = ${key.instrumentId}
    FOR UPDATE OF token`.execute(tx);
  const [row] = rows;
  if (row === undefined) throw unknownToken(key);
  return { ...row, token: await known(tx, key) };
}

async function known(db: Database | Transaction, key: TokenKey): Promise<Token> {
  const [token] = await readTokens(db, [key]);
  if (token == null) throw unknownToken(key);
  return token;
}

async function networkId(db: Database, name: string): Promise<number> {
  const network = await db.selectFrom('network').select('id').where('name', '=', name).executeTakeFirst();
  if (network === undefined)
    throw new TokenRefusal('TOKEN_INPUT_INVALID', 'No such network is served here.', 'network');
  return network.id;
}

async function sourceOf(db: Database, network: number, admin: string): Promise<ReadSource> {
  const found = await db
    .selectFrom('registry')
    .select(['urls', 'strategy', 'faults_max as faultsMax'])
    .where('network_id', '=', network)
    .where('admin', '=', admin)
    .where('instrument_id', '=', '')
    .executeTakeFirst();
  const source = found && readSourceOf(found);
  if (source != null) return source;
  throw new TokenRefusal('TOKEN_INPUT_INVALID', 'No registry is known for this admin: name one.', 'registry');
}

function demandReady({ registry, registryDiffers, packagesMissing }: Token): void {
  const lacks = [
    ...(registry === null ? ['no registry is known for its admin'] : []),
    ...registryDiffers.map(
      ({ field, pinned, found }) => `its registry says ${field} is ${found}, pinned was ${pinned}`,
    ),
    ...packagesMissing.map((missing) => `package ${missing.package} for ${missing.treasury}: ${missing.why}`),
  ];
  if (lacks.length > 0) throw new TokenRefusal('TOKEN_NOT_READY', `Not ready: ${lacks.join('; ')}.`);
}

function demandDecision({ by, why }: Decision): void {
  demandText('by', by);
  demandText('why', why, 1_000);
}

/** The freeze that an operator opens for an instrument is the state of its token: there is no second word on what must not move. */
function scopeOf(instrumentKey: number) {
  return { treasuryId: null, instrumentKey, reason: 'OPERATOR' } as const;
}

function decided({ by }: Decision) {
  return { cause: 'token directory', openedBy: by } as const;
}

function exists({ admin, instrumentId }: TokenKey): TokenRefusal {
  return new TokenRefusal('TOKEN_EXISTS', `The directory has ${instrumentId} of ${admin}.`, 'instrumentId');
}

function unknownToken({ network, admin, instrumentId }: TokenKey): TokenRefusal {
  return new TokenRefusal('TOKEN_UNKNOWN', `The directory has no ${instrumentId} of ${admin} on ${network}.`);
}
