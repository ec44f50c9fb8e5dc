import { expect, test } from 'vitest';
import { createTerminal, createTerminalLogger, cut } from './terminal.ts';

/** An output that keeps what was written, and what a terminal would show of it. */
function createScreen(size: { isTTY: boolean; columns?: number; rows?: number }) {
  let written = '';
  return {
    output: {
      ...size,
      write: (text: string) => {
        written += text;
        return true;
      },
    },
    written: () => written,
    shown: () => show(written),
  };
}

/** Enough of a terminal for what we write: text, line feeds, "up n", "clear line", "clear below"; other sequences are ignored. */
function show(text: string): string[] {
  const lines: string[] = [''];
  let row = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this is about control sequences.
  for (const [part] of text.matchAll(/\u001b\[\d*[A-Za-z]|\n|\r|[^\u001b\n\r]+/g)) {
    const up = part.startsWith('\u001b[') && part.endsWith('A') ? Number(part.slice(2, -1)) : 0;
    if (up > 0) row -= up;
    else if (part === '\u001b[2K') lines[row] = '';
    else if (part === '\u001b[0J') lines.splice(row, lines.length, '');
    else if (part === '\n') {
      row++;
      lines[row] ??= '';
    } else if (!part.startsWith('\u001b') && part !== '\r') lines[row] += part;
  }
  return lines;
}

test('a block is redrawn in place, and lines stay above it', () => {
  const screen = createScreen({ isTTY: true, columns: 40, rows: 10 });
  const terminal = createTerminal(screen.output, { isPlain: true });

  terminal.print('first');
  terminal.redraw(['a 1', 'b 1', 'c 1']);
  terminal.print('second');
  terminal.redraw(['a 2', 'b 2']);
  terminal.release();
  terminal.print('after');

  expect(screen.shown()).toEqual(['first', 'second', 'a 2', 'b 2', 'after', '']);
});

test('a block never wraps and never scrolls, or the next redraw would begin in the wrong place', () => {
  const screen = createScreen({ isTTY: true, columns: 10, rows: 4 });
  const terminal = createTerminal(screen.output, { isPlain: true });

  terminal.redraw(['0123456789abcdef', '2', '3', '4', '5']);
  terminal.redraw(['0123456789abcdef', 'b', 'c', 'd', 'e']);

  expect(screen.shown()).toEqual(['01234567…', 'b', 'c', '']);
});

test('without a terminal there are lines and no control characters', () => {
  const screen = createScreen({ isTTY: false });
  const terminal = createTerminal(screen.output, { isPlain: true });

  terminal.print('line');
  terminal.redraw(['block']);
  createTerminalLogger(terminal, 'info').child({ treasury: 'hot' }).info('It happened.', { offset: 7n });
  createTerminalLogger(terminal, 'warn').info('This is below the level.');

  expect(screen.written()).toBe('line\n  info  It happened. treasury=hot offset=7\n');
});

test('a line with styles is cut by what is visible of it', () => {
  expect(cut('\u001b[1mbold\u001b[22m text', 9)).toBe('\u001b[1mbold\u001b[22m text');
  expect(cut('\u001b[1mbold\u001b[22m text', 6)).toBe('\u001b[1mbold\u001b[22m …\u001b[0m');
});
