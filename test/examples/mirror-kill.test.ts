/** The mirror is killed without warning, again and again, while withdrawals end and connections break: its table holds each outcome once, and all of them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { type Scene, startScene } from '../client/scene.ts';
import { eventually } from '../support/eventually.ts';
import { rounds } from '../support/tier.ts';
import { commandsOf, end, runCommand } from './readme.ts';

const OUTCOMES = 40;
const KILLS = rounds(2, 10);
let scene: Scene;
let folder: string;

beforeAll(async () => {
  scene = await startScene();
  folder = await mkdtemp(join(tmpdir(), 'sluice-mirror-'));
});

afterAll(async () => {
  await scene.close();
  await rm(folder, { recursive: true, force: true });
});

/** @returns the mirrored withdrawals, in the order in which they were written. */
function mirrored(file: string): readonly string[] {
  const table = new DatabaseSync(file, { readOnly: true });
  try {
    return table
      .prepare('SELECT withdrawal_id FROM outcome ORDER BY rowid')
      .all()
      .map((row) => String(row['withdrawal_id']));
  } finally {
    table.close();
  }
}

test.each(['websocket', 'sse'])(
  'H1: over %s, killed at any moment, it has every outcome once and in order',
  async (transport) => {
    const random = createSeededRandom(5);
    const [command = ''] = commandsOf('withdrawal-mirror');
    const environment = {
      SLUICE_URL: `http://127.0.0.1:${scene.proxy.port}/graphql`,
      MIRROR_FILE: join(folder, `${transport}.sqlite`),
      MIRROR_TRANSPORT: transport,
    };
    let isOver = false;
    const ending = (async () => {
      const ids: string[] = [];
      for (let index = 0; index < OUTCOMES; index += 1) {
        const id = await scene.create(`${transport}-${index}`);
        await scene.cancel(id);
        ids.push(id);
        if (index % 10 === 0) scene.proxy.cut();
        await systemClock.sleep(random.next() * 100);
      }
      isOver = true;
      return ids;
    })();

    let kills = 0;
    for (; kills < KILLS || !isOver; kills += 1) {
      const mirror = runCommand(command, environment);
      await mirror.waitFor(/outcomes are here; following/);
      await systemClock.sleep(random.next() * 600);
      await end(mirror, 'SIGKILL');
    }
    const ids = await ending;
    const last = runCommand(command, environment);
    await eventually(() => expect(mirrored(environment.MIRROR_FILE)).toContain(ids.at(-1)), { deadlineMs: 20_000 });
    await end(last);

    const rows = mirrored(environment.MIRROR_FILE);
    expect(kills).toBeGreaterThanOrEqual(KILLS);
    expect(new Set(rows).size).toBe(rows.length);
    expect(rows.slice(-ids.length)).toEqual(ids);
  },
  120_000,
);
