/** Skill against each baseline over each window, as a table whose cells are drawn to scale. */

import { horizon, NONE, percent, signed, whole } from "./format";
import { make, svg } from "./elements";
import type { Scores, Sums } from "./types";

const NAMES: Record<string, string> = { naive: "Naive", ewma: "EWMA", har: "HAR" };
/** Skill beyond this share fills its half of a bar. */
const FULL = 0.1;

export function windows(scores: Scores | null, minutes: number): { days: number; overall: Sums }[] {
  return scores?.horizons.find((each) => each.horizon === minutes)?.windows ?? [];
}

export function skill(scores: Scores, minutes: number): Node[] {
  const told = windows(scores, minutes);
  const caption = make("caption", "visually-hidden", `Skill of forecasts ${horizon(minutes)} ahead against baselines`);
  const head = make("tr", "", make("th", "", "against"), ...told.map(({ days }) => column(days)));
  const body = Object.entries(NAMES).map(([key, name]) => {
    const title = make("th", "", name);
    title.setAttribute("scope", "row");
    return make("tr", "", title, ...told.map(({ overall }) => cell(overall.skill[key])));
  });
  const counts = make("tr", "quiet", make("th", "", "forecasts"), ...told.map(({ overall }) => make("td", "", whole(overall.forecasts))));
  const sides = make("tr", "quiet", make("th", "", "right side"), ...told.map(({ overall }) => make("td", "", percent(overall.direction, 1))));
  const losses = make(
    "tr",
    "quiet",
    make("th", "", "loss"),
    ...told.map(({ overall }) => make("td", "", overall.loss_bp === null ? NONE : `${overall.loss_bp.toFixed(2)} bp`)),
  );
  return [make("table", "skill", caption, make("thead", "", head), make("tbody", "", ...body, losses, sides, counts))];
}

function column(days: number): HTMLElement {
  const title = make("th", "", days === 1 ? "1 day" : `${days} days`);
  title.setAttribute("scope", "col");
  return title;
}

function cell(value: number | null | undefined): HTMLElement {
  if (value == null) return make("td", "none", NONE);
  const length = 50 * Math.min(1, Math.abs(value) / FULL);
  const bar = svg(
    "svg",
    { viewBox: "0 0 100 6", preserveAspectRatio: "none", class: `bar ${value < 0 ? "worse" : "better"}`, "aria-hidden": "true" },
    svg("rect", { x: value < 0 ? 50 - length : 50, width: length, height: 6 }),
    svg("rect", { class: "zero", x: 49.6, width: 0.8, height: 6 }),
  );
  return make("td", "", make("span", "", `${signed(value * 100, 1)} %`), bar);
}
