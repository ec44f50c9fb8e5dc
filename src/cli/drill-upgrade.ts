/**
 * A logical upgrade of the synchronizer: for a while nothing is sequenced, what was prepared is refused afterwards, and everything else stays. Payouts under way must be prepared again and be paid
 * once; none may count as failed because time passed.
 */
import type { Scene } from './drill-scene.ts';

const PAUSE_MS = 4_000;

/** @returns whether the books agree with the network before and after, in one and the same epoch. */
export async function drillUpgrade(scene: Scene): Promise<boolean> {
  const { network, clock, say } = scene;
  scene.startLoad();
  await scene.moreLoad(50);
  await scene.stopLoad();
  const isRightBefore = await scene.compare('Before');

  say('');
  say('Customers go on. The synchronizer is upgraded: nothing is sequenced, transactions are refused.');
  scene.startLoad();
  await scene.moreLoad(30);
  const before = await scene.stream();
  network.synchronizer.beginUpgrade({ isInconsistent: true });
  await clock.sleep(PAUSE_MS);
  network.synchronizer.completeUpgrade();
  say(`After ${PAUSE_MS / 1_000} s it is back with a new physical id; what was prepared before is void.`);
  await scene.moreLoad(30);
  await scene.stopLoad();
  const isRightAfter = await scene.compare('After the upgrade');
  const after = await scene.stream();
  say('');
  say(
    after.epoch === before.epoch
      ? `History and offsets were kept: still epoch ${after.epoch}.`
      : `THE OFFSETS CHANGED: epoch ${after.epoch} after ${before.epoch}.`,
  );
  return isRightBefore && isRightAfter && after.epoch === before.epoch;
}
