/** Past forecasts against what came: the bands that were told before, and the price that then was. */

import { LineSeries, type IChartApi, type ISeriesApi, type LineData, type UTCTimestamp, type WhitespaceData } from "lightweight-charts";

import { Bands, bandsOf, type BandPoint, type Mark } from "./bands";
import { chart, Framing, look, seconds } from "./charts";
import { horizon, percent } from "./format";
import { colours } from "./theme";
import type { PastForecast } from "./types";

const STEP = 60;

export interface Tally {
  known: number;
  covered: number;
}

export class TrackRecord {
  readonly #place: HTMLElement;
  readonly #chart: IChartApi;
  readonly #realised: ISeriesApi<"Line">;
  readonly #bands: Bands;
  readonly #framing: Framing;
  #horizon = 0;

  constructor(place: HTMLElement) {
    this.#place = place;
    this.#chart = chart(place);
    this.#framing = new Framing(this.#chart);
    this.#realised = this.#chart.addSeries(LineSeries, { lineWidth: 2, priceLineVisible: false, lastValueVisible: false, crosshairMarkerRadius: 3 });
    this.#bands = new Bands(colours());
    this.#realised.attachPrimitive(this.#bands);
    this.recolour();
  }

  /** Forecasts of one horizon, newest first; returns how those that came due have done. */
  show(newestFirst: PastForecast[]): Tally {
    const past = newestFirst.toReversed();
    const first = past[0];
    const last = past.at(-1);
    if (!first || !last) return { known: 0, covered: 0 };
    const origin = seconds(first.target_time);
    const prices = new Map(past.map((each) => [seconds(each.target_time), each.outcome?.realised_price]));
    const line: (LineData<UTCTimestamp> | WhitespaceData<UTCTimestamp>)[] = [];
    for (let time = origin; time <= seconds(last.target_time); time = (time + STEP) as UTCTimestamp) {
      const value = prices.get(time);
      line.push(value === undefined ? { time } : { time, value });
    }
    this.#realised.setData(line);
    const at = (each: PastForecast): number => (seconds(each.target_time) - origin) / STEP;
    const points: BandPoint[] = past.map((each) => ({ at: at(each), bands: bandsOf(each.quantiles), median: each.predicted_price }));
    const known = past.filter((each) => each.outcome);
    const missed: Mark[] = known
      .filter((each) => !each.outcome?.covered_90)
      .map((each) => ({ at: at(each), price: each.outcome!.realised_price }));
    this.#bands.show(points, missed);
    this.#tell(first.horizon, { known: known.length, covered: known.length - missed.length });
    this.#framing.keep(-0.5, line.length, first.horizon !== this.#horizon);
    this.#horizon = first.horizon;
    return { known: known.length, covered: known.length - missed.length };
  }

  recolour(): void {
    this.#chart.applyOptions(look());
    this.#realised.applyOptions({ color: colours().ink });
    this.#bands.recolour(colours());
  }

  #tell(minutes: number, { known, covered }: Tally): void {
    const label = `Forecasts ${horizon(minutes)} ahead: ${covered} of ${known} prices within the 90 % interval, ${percent(known ? covered / known : null)}.`;
    this.#place.setAttribute("aria-label", label);
  }
}
