/** How far the price has moved. */

import type { Bar } from "./types";

const HOUR = 3_600_000;
const MINUTE = 60_000;

/** In the hour before the last of minute bars, as a share; null where they do not reach back so far. */
export function hourly(bars: Bar[]): number | null {
  const last = bars.at(-1);
  if (!last) return null;
  const since = Date.parse(last.start) - HOUR;
  const first = bars.find((bar) => Date.parse(bar.start) >= since);
  return first && Date.parse(first.start) <= since + MINUTE ? last.close / first.open - 1 : null;
}
