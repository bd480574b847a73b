/** A stretch of time as a person says it: `2d 3h`, `1h 05m`, `4m 09s`, `12s`; `-` before what is past. */
export function shortDuration(seconds: number): string {
  const whole = Math.abs(Math.trunc(seconds));
  const sign = seconds < 0 && whole > 0 ? "-" : "";
  const [d, h, m, s] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3_600) % 24,
    Math.floor(whole / 60) % 60,
    whole % 60,
  ] as const;
  const two = (value: number) => String(value).padStart(2, "0");
  if (d > 0) {
    return `${sign}${d}d ${h}h`;
  }
  if (h > 0) {
    return `${sign}${h}h ${two(m)}m`;
  }
  return m > 0 ? `${sign}${m}m ${two(s)}s` : `${sign}${s}s`;
}
