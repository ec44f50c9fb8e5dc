/**
 * What a command says to the person in front of it: lines that stay, and on a terminal one block below them that is redrawn in place. Without a
 * terminal there are only lines, for logs and pipes.
 */
import { styleText } from 'node:util';
import type { LogFields, Logger } from '../env/logger.ts';
import type { LogLevel } from '../env/system.ts';

/** The part of a TTY stream that is needed; `process.stdout` is one. */
export type Output = {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): boolean;
};

export type Terminal = {
  readonly isInteractive: boolean;
  /** `text` in a style where the output shows styles, else as it is. */
  styled(style: Style, text: string): string;
  /** A line that stays, above the block. */
  print(line?: string): void;
  /** Replaces the block. Lines longer than the terminal is wide are cut, or the next redraw would miscount. Nothing without a terminal. */
  redraw(lines: readonly string[]): void;
  /** Leaves the block where it is and begins below it. */
  release(): void;
};

type Style = Parameters<typeof styleText>[0];

const CLEAR_BELOW = '\u001b[0J';
const CLEAR_LINE = '\u001b[2K';

/** @param options.isPlain no styles, as the environment variable NO_COLOR asks for (no-color.org). */
export function createTerminal(output: Output, options: { readonly isPlain: boolean }): Terminal {
  const isInteractive = output.isTTY === true;
  let block: readonly string[] = [];

  const toTop = (): string => (block.length === 0 ? '' : `\u001b[${block.length}A\r`);
  const draw = (lines: readonly string[]): string => lines.map((line) => `${CLEAR_LINE}${line}\n`).join('');

  return {
    isInteractive,
    styled: (style, text) =>
      isInteractive && !options.isPlain ? styleText(style, text, { validateStream: false }) : text,
    print: (line = '') => {
      output.write(block.length === 0 ? `${line}\n` : `${toTop()}${CLEAR_BELOW}${line}\n${draw(block)}`);
    },
    redraw: (lines) => {
      if (!isInteractive) return;
      const columns = output.columns ?? 80;
      // A block higher than the terminal could not be redrawn: its top has scrolled away.
      const fitting = lines.slice(0, Math.max(1, (output.rows ?? 24) - 1)).map((line) => cut(line, columns - 1));
      output.write(`${toTop()}${draw(fitting)}${fitting.length < block.length ? CLEAR_BELOW : ''}`);
      block = fitting;
    },
    release: () => {
      // The terminal echoes ^C where the cursor stands.
      if (isInteractive) output.write(`\r${CLEAR_LINE}`);
      block = [];
    },
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: styles are control sequences.
const STYLE_PATTERN = /\u001b\[[0-9;]*m/g;

/** `line` with at most `width` visible characters; styles count nothing and are ended. */
export function cut(line: string, width: number): string {
  if (line.replaceAll(STYLE_PATTERN, '').length <= width) return line;
  let visible = 0;
  let result = '';
  for (let index = 0; index < line.length && visible < width - 1; ) {
    STYLE_PATTERN.lastIndex = index;
    const style = STYLE_PATTERN.exec(line);
    if (style !== null && style.index === index) {
      result += style[0];
      index += style[0].length;
    } else {
      result += line[index];
      index++;
      visible++;
    }
  }
  return `${result}…\u001b[0m`;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
const LEVEL_STYLES: Readonly<Record<string, Style>> = { debug: 'dim', info: 'dim', warn: 'yellow', error: 'red' };

/** Log lines for people, between the terminal's other lines. */
export function createTerminalLogger(terminal: Terminal, level: LogLevel, bound: LogFields = {}): Logger {
  const write =
    (of: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (LEVELS.indexOf(of) < LEVELS.indexOf(level)) return;
      const facts = Object.entries({ ...bound, ...fields }).map(([name, value]) => `${name}=${textOf(value)}`);
      const head = terminal.styled(LEVEL_STYLES[of] ?? 'dim', of.padEnd(5));
      terminal.print([`  ${head} ${message}`, ...facts.map((fact) => terminal.styled('dim', fact))].join(' '));
    };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => createTerminalLogger(terminal, level, { ...bound, ...fields }),
  };
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return value.message;
  return (
    JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? part.toString() : part)) ?? 'undefined'
  );
}
