/** Whatever the screening service does instead of answering, the deposit is held. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { Behaviour } from '../support/screening-server.ts';
import { PATIENT, type ScreenedScene, startScreenedScene } from './screened-scene.ts';

let screened: ScreenedScene;

beforeEach(async () => {
  screened = await startScreenedScene();
});

afterEach(async () => {
  await screened.close();
});

test.each<Behaviour>([
  'hang',
  'trickle',
  'redirect',
  'status500',
  'rubbish',
  'unsigned',
  'otherSecret',
  'otherTransfer',
  'replayedQuestion',
  'huge',
  'cut',
])('no answer is a no: held while the service does %s, credited once when it allows', async (behaviour) => {
  const { scene, service } = screened;
  service.behave(behaviour);
  const transferId = await screened.deposit();
  screened.startLoop();

  await eventually(() => expect(service.asked.length).toBeGreaterThan(2), PATIENT);
  await scene.settled();
  expect(await scene.balances()).toEqual({ 'HELD:alice': '5.0000000000' });
  expect((await screened.screening(transferId)).last_error).not.toBeNull();

  service.behave('allow');
  await screened.become(transferId, 'ALLOWED');
  await scene.settled();
  expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000' });
});
