/** In each process that looks for a mistake: only the tests that are to find it run, and none after the first that did. */
import { beforeEach, inject } from 'vitest';

let isFound = false;

beforeEach(({ task, skip, onTestFailed }) => {
  let name = task.name;
  for (let { suite } = task; suite !== undefined; suite = suite.suite) name = `${suite.name} ${name}`;
  const isWanted = inject('killers').some(
    ({ file, test }) => task.file.filepath.endsWith(`/${file}`) && name.includes(test),
  );
  if (isFound || !isWanted) skip();
  onTestFailed(() => {
    isFound = true;
  });
});
