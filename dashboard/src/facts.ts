/** The model's card, and what is known of the feed: lists of facts. */

import { make } from "./elements";
import { clock, day, horizon, NONE, percent, signed, span } from "./format";
import type { Bar, Forecast, Model, Tested } from "./types";

export type Fact = [name: string, value: string | Node];

export function facts(...told: Fact[]): HTMLElement {
  return make("dl", "", ...told.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
}

export function modelCard(model: Model, newest: Forecast | undefined, minutes: number, now: number): HTMLElement {
  const baseline = newest ? newest.baseline : model.baseline;
  const served = baseline ? "Baseline" : "XGBoost, 19 quantiles, conformal";
  const reason: Fact[] = newest?.baseline_reason ? [["Why", newest.baseline_reason]] : [];
  if (!model.model_version) return facts(["Serving", served], ...reason, ["Champion", "none has been promoted"]);
  const tested = model.metrics?.[`${minutes}`];
  return facts(
    ["Serving", served],
    ...reason,
    ["Champion", make("code", "", model.model_version)],
    ["Learnt from", between(model.trained_from, model.trained_until)],
    ["Tested on", between(model.tested_from, model.tested_until)],
    ...(tested ? test(tested, minutes) : []),
    ["Promoted", model.promoted_at ? moment(Date.parse(model.promoted_at)) : NONE],
    ["Age", model.trained_until ? span((now - Date.parse(model.trained_until)) / 1000) : NONE],
    ["Registry", model.package ? make("code", "", model.package) : NONE],
  );
}

function test(tested: Tested, minutes: number): Fact[] {
  const [skill, low, high] = [tested.crps_skill, tested.crps_skill_low, tested.crps_skill_high].map((share) => signed(share * 100, 1));
  return [
    [`Test skill, ${horizon(minutes)}`, `${skill} % (${low} … ${high}) over ${tested.best_baseline}`],
    ["Test coverage", `${percent(tested.coverage_90, 1)} of 90 %`],
  ];
}

export interface Feed {
  alive_s: number | null;
  forecast_s: number | null;
  answered: number;
  pushed: boolean;
  bars: Bar[];
  minutes: number;
}

export function feedCard({ alive_s, forecast_s, answered, pushed, bars, minutes }: Feed): HTMLElement {
  const { proven, closed, holes } = proof(bars, minutes);
  const told = holes.length ? make("ul", "holes", ...holes.slice(-4).map((hole) => make("li", "", hole))) : "none in view";
  return facts(
    ["Feed last alive", alive_s === null ? "never" : `${span(alive_s)} ago`],
    ["Forecast as of", forecast_s === null ? "none yet" : `${span(forecast_s)} ago`],
    ["Forecasts come", pushed ? "as they are made" : "when asked for"],
    ["Bars proven complete", closed ? `${proven} of ${closed} in view` : NONE],
    ["Gaps", told],
    ["API last answered", answered ? `${clock(answered, true)} UTC` : "not yet"],
  );
}

/** How many of the closed bars are proven, and what is absent or unproven between the first and the last. */
export function proof(bars: Bar[], minutes: number): { proven: number; closed: number; holes: string[] } {
  const closed = bars.filter((bar) => bar.closed);
  const [step, holes] = [minutes * 60_000, [] as string[]];
  let run: { from: number; to: number; what: string } | undefined;
  const end = (): void => {
    if (run) holes.push(`${clock(run.from)}–${clock(run.to)} ${run.what}`);
    run = undefined;
  };
  const add = (from: number, to: number, what: string): void => {
    if (run && run.what === what && run.to === from) run.to = to;
    else {
      end();
      run = { from, to, what };
    }
  };
  let expected = closed[0] ? Date.parse(closed[0].start) : 0;
  for (const bar of closed) {
    const start = Date.parse(bar.start);
    if (start > expected) add(expected, start, "absent");
    if (!bar.complete) add(start, start + step, bar.source === "klines" ? "from klines" : "unproven");
    expected = start + step;
  }
  end();
  return { proven: closed.filter((bar) => bar.complete).length, closed: closed.length, holes };
}

function between(from: string | null, until: string | null): string {
  return from && until ? `${day(Date.parse(from))} – ${day(Date.parse(until))}` : NONE;
}

function moment(time: number): string {
  return `${day(time)} ${clock(time)} UTC`;
}
