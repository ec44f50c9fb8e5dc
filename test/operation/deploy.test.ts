/** What the image and the compose file rely on is there. No container is built here: paths, commands, variables and ports are compared with the project. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeConfig } from '../../src/config/describe.ts';
import { USUAL_PORT } from '../../src/server/admin-server.ts';
import { PROJECT } from '../e2e/sluice-process.ts';

const read = async (path: string): Promise<string> => await readFile(join(PROJECT, path), 'utf8');
const known = new Set(describeConfig().flatMap(({ variable }) => [variable, `${variable}_FILE`]));

test('the image copies what exists, and .dockerignore lets it through', async () => {
  const dockerfile = await read('deploy/Dockerfile');
  const ignored = (await read('.dockerignore')).split('\n');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = '']) =>
    sources.split(' '),
  );
  expect(copied).toEqual(expect.arrayContaining(['src', 'migrations', 'package-lock.json', 'schema.graphql']));
  for (const source of copied) {
    expect([source, existsSync(join(PROJECT, source))]).toEqual([source, true]);
    expect(ignored).toContain(`!${source}`);
  }
  // Everything else stays outside, secrets of a working directory among it.
  expect(ignored).toContain('**');
});

test('the image runs as nobody in particular, stops by a signal, and is asked where it answers', async () => {
  const dockerfile = await read('deploy/Dockerfile');
  const lines = dockerfile.split('\n');
  expect(lines.indexOf('USER node')).toBeGreaterThan(lines.indexOf('COPY src ./src'));
  expect(dockerfile).toMatch(/npm ci --omit=dev .*--ignore-scripts/);
  expect(dockerfile).toContain('ENTRYPOINT ["node", "src/main.ts"]');
  expect(existsSync(join(PROJECT, 'src/main.ts'))).toBe(true);
  expect(dockerfile).toContain(`SLUICE_ADMIN_PORT=${USUAL_PORT}`);
  expect(dockerfile).toContain("+'/healthz'");
  for (const [variable] of dockerfile.matchAll(/\bSLUICE_[A-Z_]+/g)) expect(known).toContain(variable);
  expect(await read('package.json')).toMatch(/"node": ">=2\d"/);
});

test('compose names files, commands and variables that exist', async () => {
  const compose = await read('deploy/compose.yaml');
  for (const [, variable = ''] of compose.matchAll(/\b(SLUICE_[A-Z_]+|DATABASE_URL)\b[:=]/g))
    expect(known).toContain(variable);
  for (const [, command = ''] of compose.matchAll(/command: \["([a-z]+)"/g))
    expect(await read('src/main.ts')).toContain(`./cli/${command}.ts`);
  for (const [, option = ''] of compose.matchAll(/^ {6}- (--[a-z-]+)=/gm))
    expect(await read('src/cli/signer.ts')).toContain(`'${option} <`);
  expect(compose).toContain('dockerfile: deploy/Dockerfile');
  expect(compose).not.toMatch(/\t|: *password/i);
});

test('the beginning of an environment has variables that exist, and no secrets', async () => {
  for (const line of (await read('deploy/env.example')).split('\n')) {
    const [, variable = '', value = ''] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
    if (variable === '') continue;
    if (variable !== 'POSTGRES_PASSWORD') expect(known).toContain(variable);
    const row = describeConfig().find((each) => each.variable === variable);
    if (variable === 'POSTGRES_PASSWORD' || row?.isSecret === true) expect([variable, value]).toEqual([variable, '']);
  }
});
