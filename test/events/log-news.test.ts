/** Goal: what is told is taken only where it continues what was read, and everything else is a reason to look. */
import { describe, expect, test } from 'vitest';
import { createLogNews, type News, type Standing } from '../../src/db/log-news.ts';

const idAt = (position: number): string => `event-${position}`;
/** As number_at_commit tells them. */
const told = (positions: readonly number[], epoch = 'now', idOf = idAt): string =>
  JSON.stringify([
    epoch,
    ...positions.map((position) => [String(position), idOf(position), 'test.happened', 'a', '{"n": 1}', '1700']),
  ]);
const at = (head: number): Standing => ({
  epoch: 'now',
  head: BigInt(head),
  eventIdAt: (position) => (position <= BigInt(head) && position > BigInt(head - 10) ? idAt(Number(position)) : null),
});
const shown = ({ events, isToLook }: News) => ({
  positions: events.map(({ event }) => Number(event.position)),
  isToLook,
});

describe('news of the log', () => {
  test('are events that follow the head, one notification after the other, as the log has them', () => {
    const news = createLogNews();
    news.tell(told([8, 9]));
    news.hint('9');
    news.tell(told([10]));
    news.hint('10');

    const { events, isToLook } = news.take(at(7));

    expect(isToLook).toBe(false);
    expect(events.map(({ event }) => event.position)).toEqual([8n, 9n, 10n]);
    expect(events[0]).toEqual({
      event: {
        ...{ position: 8n, eventId: 'event-8', type: 'test.happened', subject: 'a' },
        ...{ payload: { n: 1 }, recordedAt: 1700n },
      },
      bytes: 8,
    });
  });

  test('are told once: whoever was told nothing since has to look', () => {
    const news = createLogNews();
    news.tell(told([8]));
    news.take(at(7));

    expect(shown(news.take(at(8)))).toEqual({ positions: [], isToLook: true });
  });

  test.each([
    ['a gap', [told([9])], 7, []],
    ['a gap after what fits', [told([8]), told([10])], 7, [8]],
    ['another epoch', [told([8], 'then')], 7, []],
    ['another event at a place that was read', [told([6], 'now', () => 'other')], 7, []],
    ['a place that is not at hand any more', [told([90])], 100, []],
    ['what may have been missed', [''], 7, []],
    ['more than one looks through', Array.from({ length: 70 }, (_, line) => told([8 + line])), 7, undefined],
  ] as const)('of %s have to be looked at', (_, texts, head, positions) => {
    const news = createLogNews();
    for (const text of texts) news.tell(text);

    const found = shown(news.take(at(head)));

    expect(found.isToLook).toBe(true);
    if (positions !== undefined) expect(found.positions).toEqual(positions);
  });

  test('that were read meanwhile are nothing new', () => {
    const news = createLogNews();
    news.tell(told([6, 7]));
    news.tell(told([7, 8]));
    news.hint('8');

    expect(shown(news.take(at(7)))).toEqual({ positions: [8], isToLook: false });
  });

  test.each([
    ['further than what was told', ['9'], true],
    ['not as far as what was read, as after a restore', ['3'], true],
    ['nothing of how far', ['8', ''], true],
    ['something that is no position', ['8', '[“forged”]'], true],
    ['just as far', ['7', '8'], false],
  ] as const)('and hints that say %s: look: %#', (_, hints, isToLook) => {
    const news = createLogNews();
    news.tell(told([8]));
    for (const hint of hints) news.hint(hint);

    expect(shown(news.take(at(7)))).toEqual({ positions: [8], isToLook });
  });

  test('by a hint alone are nothing to look at where all of it was read', () => {
    const news = createLogNews();
    news.hint('7');

    expect(shown(news.take(at(7)))).toEqual({ positions: [], isToLook: false });
  });
});
