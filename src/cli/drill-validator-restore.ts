/**
 * The validator is restored from a backup. First one that is well behind us, so that it catches up with other offsets; then the treacherous one: everything we have stands where it was, but
 * our position had moved past it by checkpoints, and the restored node puts the next update below that position.
 */
import type { Scene } from './drill-scene.ts';

const BACKUP_AGE_UPDATES = 60;
const CATCH_UP_MS = 15;
const IDLE_OFFSETS = 500n;

/** @returns whether the books agree with the network before and after. */
export async function drillValidatorRestore(scene: Scene): Promise<boolean> {
  const { network, say } = scene;
  const node = network.participant('participant1');
  scene.startLoad();
  await scene.moreLoad(50);
  await scene.stopLoad();
  const isRightBefore = await scene.compare('Before');

  say('');
  say('Customers go on. The validator is lost and restored from an older backup; it replays from the synchronizer.');
  scene.startLoad();
  await scene.moreLoad(40);
  const before = await scene.stream();
  const { behind, ledgerEnd } = node.restore({
    updatesBack: BACKUP_AGE_UPDATES,
    catchUp: { everyMs: CATCH_UP_MS },
    numbering: 'fresh',
  });
  say(
    `It restarts at offset ${ledgerEnd}, ${behind} updates behind. We stand at ${before.offset}, which it has never given out.`,
  );
  const anchored = await scene.until('a new epoch has begun', ({ epoch }) => epoch > before.epoch);
  say(`We waited until it had our newest update and found our place by its id: epoch ${anchored.epoch}.`);
  await scene.moreLoad(30);
  await scene.stopLoad();
  const isRightAfter = await scene.compare('After the restore');

  say('');
  say('Nobody deposits; other things use up offsets, and checkpoints move our position on.');
  node.skipOffsets(IDLE_OFFSETS);
  const quiet = await scene.until(
    'the position has passed the idle stretch',
    ({ offset }) => offset >= node.ledgerEnd(),
  );
  say(`Our newest update stands at ${quiet.verifiedOffset}, our position at ${quiet.offset}.`);
  node.restore({ updatesBack: 1, numbering: 'same', catchUp: 'atOnce', offsetSteps: { min: 1, max: 1 } });
  scene.depositOnce();
  say(
    `The validator is restored from a backup of before that stretch; a new deposit gets an offset below ours: ${node.ledgerEnd()}.`,
  );
  const isBelow = node.ledgerEnd() < quiet.offset;
  if (!isBelow) say('THE DEPOSIT DID NOT COME BELOW OUR POSITION: this part proves nothing.');
  const isRightAtLast = await scene.compare('After the second restore');
  return isRightBefore && isRightAfter && isRightAtLast && isBelow;
}
