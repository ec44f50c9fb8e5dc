/** The validator goes away for good and the treasury is followed on another one, whose offsets are others; then back again. Under load both times. */
import { knownRefusal } from '../simnet/ledger/known-refusals.ts';
import type { Scene } from './drill-scene.ts';

/** @returns whether the books agree with the network before and after. */
export async function drillParticipantSwitch(scene: Scene): Promise<boolean> {
  const { say } = scene;
  scene.startLoad();
  await scene.moreLoad(50);
  await scene.stopLoad();
  const isRightBefore = await scene.compare('Before');

  scene.startLoad();
  await scene.moreLoad(30);
  say('');
  await leave(scene, 'participant1', 'participant2');
  await scene.moreLoad(30);
  await leave(scene, 'participant2', 'participant1');
  await scene.moreLoad(30);
  await scene.stopLoad();
  const isRightAfter = await scene.compare('After both switches');
  return isRightBefore && isRightAfter;
}

/** Takes `from` down and `to` up, and waits until the stream goes on at `to`. */
async function leave({ network, say, stream, until }: Scene, from: string, to: string): Promise<void> {
  const before = await stream();
  const gone = network.participant(from);
  const next = network.participant(to);
  next.faults.acceptCalls();
  gone.faults.rejectCalls({ refusal: knownRefusal('SERVER_IS_SHUTTING_DOWN'), share: 1 });
  gone.faults.abortStreams(knownRefusal('SERVER_IS_SHUTTING_DOWN'));
  say(`${from} goes away. We stood at its offset ${before.offset}, in epoch ${before.epoch}.`);
  const after = await until(`the stream goes on at ${to}`, ({ participantId }) => participantId === next.participantId);
  say(
    `${to} goes on: our newest update was found there by its id, epoch ${after.epoch} begins at its offset ${after.offset}.`,
  );
}
