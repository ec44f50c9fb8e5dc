/** Numbers from repeated runs. */

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which a share of `values` lies; 0.99 of few values is the largest. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  const index = Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1));
  return sorted[index] ?? Number.NaN;
}

/** Half the range as a share of the median, as in `±12 %`. */
export function spread(values: readonly number[]): string {
  const half = (Math.max(...values) - Math.min(...values)) / 2;
  return `±${((100 * half) / median(values)).toFixed(0)} %`;
}

/** Of the straight line through `points` with the least squares. */
export function slopeOf(points: readonly (readonly [number, number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const over = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const under = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return over / under;
}

/** The wall clock in microseconds, the same in every process of the machine. */
export function wallMicros(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1_000));
}
