/** How many colours a screenshot has: a blank page has one or two, a rendered one hundreds. */
import { inflateSync } from 'node:zlib';

const SIGNATURE = '89504e470d0a1a0a';

/**
 * @param png 8 bits per channel, RGB or RGBA, not interlaced: what browsers write.
 * @returns the number of distinct pixels.
 * @see W3C, Portable Network Graphics, sections 5 (chunks) and 9 (filters)
 */
export function countColours(png: Buffer): number {
  if (png.subarray(0, 8).toString('hex') !== SIGNATURE) throw new Error('Not a PNG.');
  const header = png.subarray(16, 29);
  const width = header.readUInt32BE(0);
  const height = header.readUInt32BE(4);
  const [depth, colourType, , , interlace] = header.subarray(8);
  const channels = colourType === 6 ? 4 : 3;
  if (depth !== 8 || (colourType !== 2 && colourType !== 6) || interlace !== 0) throw new Error('Another kind of PNG.');

  const scanlines = inflateSync(Buffer.concat(dataChunks(png)));
  const stride = width * channels;
  let previous = Buffer.alloc(stride);
  const colours = new Set<number>();
  for (let row = 0; row < height; row++) {
    const start = row * (stride + 1);
    const line = unfilter(scanlines[start] ?? 0, scanlines.subarray(start + 1, start + 1 + stride), previous, channels);
    for (let at = 0; at < stride; at += channels) colours.add(line.readUIntBE(at, 3));
    previous = line;
  }
  return colours.size;
}

function dataChunks(png: Buffer): readonly Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') chunks.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  return chunks;
}

function unfilter(filter: number, line: Buffer, above: Buffer, channels: number): Buffer<ArrayBuffer> {
  const result = Buffer.from(line);
  for (let at = 0; at < line.length; at++) {
    const left = at < channels ? 0 : (result[at - channels] ?? 0);
    const up = above[at] ?? 0;
    const corner = at < channels ? 0 : (above[at - channels] ?? 0);
    const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0;
    result[at] = ((line[at] ?? 0) + predicted) & 0xff;
  }
  return result;
}

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const [toLeft, toUp, toCorner] = [left, up, corner].map((value) => Math.abs(estimate - value)) as [
    number,
    number,
    number,
  ];
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
