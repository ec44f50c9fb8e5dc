/** Loaded before anything else in a process of the test runner (`--import plant.ts?name`): changes the product as it is loaded. */
import { registerHooks } from 'node:module';
import { DIRECT_MISTAKES } from './all-direct.ts';
import { sourceUrl, withMistake } from './planted.ts';

const name = decodeURIComponent(new URL(import.meta.url).search.slice(1));
const planted = DIRECT_MISTAKES.find((mistake) => mistake.name === name);
if (planted === undefined) throw new Error(`There is no mistake '${name}'.`);
const files = new Map(planted.changes.map(({ file }) => [sourceUrl(file), file]));

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    const file = files.get(url);
    if (file === undefined) return loaded;
    const text = Buffer.from(loaded.source as Uint8Array).toString('utf8');
    return { ...loaded, source: withMistake(planted, file, text) };
  },
});
