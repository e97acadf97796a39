/** The reliability diagram: how often the price came to lie at or below each quantile, against how often it should. */

import { percent } from "./format";
import { make, svg } from "./elements";
import type { Sums } from "./types";

const SIZE = 240;
const LEFT = 42;
const BELOW = 28;
const TWO_SIDED = 1.96;

const x = (share: number): number => LEFT + share * (SIZE - LEFT - 6);
const y = (share: number): number => 6 + (1 - share) * (SIZE - BELOW - 6);

export function reliability(sums: Sums): Node[] {
  const points = Object.entries(sums.coverage).map(([level, share]) => [Number(level), share] as const);
  return [diagram(points, sums.forecasts), coverage("90", 0.9, sums.coverage_90), coverage("50", 0.5, sums.coverage_50)];
}

function diagram(points: (readonly [number, number])[], count: number): SVGElement {
  const worst = Math.max(...points.map(([level, share]) => Math.abs(share - level)));
  const label = `Reliability: over ${count} forecasts no quantile is further than ${percent(worst, 1)} from its level.`;
  const ticks = [0, 0.5, 1].flatMap((share) => [
    svg("line", { class: "grid", x1: x(0), x2: x(1), y1: y(share), y2: y(share) }),
    svg("text", { x: LEFT - 6, y: y(share) + 3.5, "text-anchor": "end" }, `${share * 100} %`),
    svg("text", { x: x(share), y: SIZE - 10, "text-anchor": share === 0 ? "start" : share === 1 ? "end" : "middle" }, `${share * 100} %`),
  ]);
  return svg(
    "svg",
    { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": label, class: "reliability" },
    ...ticks,
    svg("path", { class: "chance", d: chance(points.map(([level]) => level), count) }),
    svg("line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    svg("polyline", { class: "observed", points: points.map(([level, share]) => `${x(level)},${y(share)}`).join(" ") }),
    ...points.map(([level, share]) =>
      svg("circle", { class: "observed", cx: x(level), cy: y(share), r: 2.6 }, svg("title", {}, `${percent(level)}: ${percent(share, 1)}`)),
    ),
  );
}

/** Where 95 % of calibrated quantiles would lie by chance, were the forecasts independent. */
function chance(levels: number[], count: number): string {
  const spread = (level: number): number => TWO_SIDED * Math.sqrt((level * (1 - level)) / count);
  const clipped = (share: number): number => Math.min(1, Math.max(0, share));
  const above = levels.map((level) => `${x(level)},${y(clipped(level + spread(level)))}`);
  const below = levels.map((level) => `${x(level)},${y(clipped(level - spread(level)))}`).reverse();
  return `M${[...above, ...below].join("L")}Z`;
}

function coverage(name: string, wanted: number, share: number | null): HTMLElement {
  const meter = svg(
    "svg",
    { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "meter", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 8 }),
    svg("rect", { class: "fill", width: 100 * (share ?? 0), height: 8 }),
    svg("rect", { class: "wanted", x: 100 * wanted - 0.5, width: 1, height: 8 }),
  );
  const words = make("span", "", `${name} % interval covered `, make("strong", "", percent(share, 1)));
  return make("p", "coverage", words, meter);
}
