/**
 * By how much memory grows from one sample to the next: the median of the slopes between all pairs (Theil and Sen), which a
 * few samples that stand out do not move. In the unit of the samples; `NaN` for fewer than two.
 */
export function memoryTrend(samples: readonly number[]): number {
  const slopes = samples.flatMap((late, index) =>
    samples.slice(0, index).map((early, before) => (late - early) / (index - before)),
  );
  slopes.sort((a, b) => a - b);
  const middle = (slopes.length - 1) / 2;
  return ((slopes[Math.floor(middle)] ?? Number.NaN) + (slopes[Math.ceil(middle)] ?? Number.NaN)) / 2;
}
