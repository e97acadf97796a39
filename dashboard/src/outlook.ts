/** The four horizons as cards: what is said of each, and which one the rest of the page looks at. */

import { make } from "./elements";
import { clock, horizon, percent, price, signed } from "./format";
import type { Forecast } from "./types";

export const HORIZONS = [1, 5, 15, 60];

export class Outlook {
  readonly #bodies = new Map<number, HTMLElement>();

  constructor(place: HTMLElement, value: number, chosen: (horizon: number) => void) {
    for (const minutes of HORIZONS) {
      const input = document.createElement("input");
      input.type = "radio";
      input.name = "horizon";
      input.value = `${minutes}`;
      input.checked = minutes === value;
      input.addEventListener("change", () => chosen(minutes));
      const body = make("span", "outlook-body");
      this.#bodies.set(minutes, body);
      place.append(make("label", "outlook", input, make("span", "outlook-card", make("span", "outlook-name", `in ${horizon(minutes)}`), body)));
    }
  }

  show(forecasts: Forecast[] | null): void {
    for (const [minutes, body] of this.#bodies) {
      const found = forecasts?.find((each) => each.horizon === minutes);
      if (found) body.replaceChildren(...told(found));
      else body.replaceChildren(make("span", forecasts ? "empty" : "skeleton", forecasts ? "no forecast yet" : ""));
    }
  }
}

function told(forecast: Forecast): Node[] {
  const moved = (forecast.predicted_price / forecast.reference_price - 1) * 1e4;
  const [low, high] = [forecast.quantiles["0.05"] ?? 0, forecast.quantiles["0.95"] ?? 0];
  return [
    make("strong", "", price(forecast.predicted_price)),
    make("span", "quiet", `${signed(moved, 1)} bp · up ${percent(forecast.probability_up)}`),
    make("span", "range", `${price(low)} – ${price(high)}`),
    make("span", "quiet", `90 % at ${clock(Date.parse(forecast.target_time))}`),
  ];
}
