/** The price as candles, and ahead of the last of them the forecast's fan. */

import { CandlestickSeries, type CandlestickData, type IChartApi, type ISeriesApi, type UTCTimestamp, type WhitespaceData } from "lightweight-charts";

import { Bands, bandsOf, type BandPoint } from "./bands";
import { chart, Framing, look, seconds } from "./charts";
import { clock, horizon, price } from "./format";
import { colours } from "./theme";
import type { Bar, Forecast } from "./types";

type Slot = CandlestickData<UTCTimestamp> | WhitespaceData<UTCTimestamp>;

const AHEAD = 60;

export class Candles {
  readonly #place: HTMLElement;
  readonly #chart: IChartApi;
  readonly #series: ISeriesApi<"Candlestick">;
  readonly #fan: Bands;
  readonly #framing: Framing;
  #minutes = 0;

  constructor(place: HTMLElement) {
    this.#place = place;
    this.#chart = chart(place);
    this.#framing = new Framing(this.#chart);
    this.#series = this.#chart.addSeries(CandlestickSeries, { borderVisible: false, priceLineStyle: 2, priceLineWidth: 1 });
    this.#fan = new Bands(colours());
    this.#fan.dots = true;
    this.#series.attachPrimitive(this.#fan);
    this.recolour();
  }

  /** `minutes` is the length of a bar; what is absent between two bars stays empty. */
  show(bars: Bar[], forecasts: Forecast[], minutes: number): void {
    const first = bars[0];
    const last = bars.at(-1);
    if (!first || !last) return;
    const [step, origin] = [minutes * 60, seconds(first.start)];
    const ahead = Math.max(1, Math.ceil(AHEAD / minutes));
    const slots: Slot[] = [];
    const byStart = new Map(bars.map((bar) => [seconds(bar.start), bar]));
    const count = (seconds(last.start) - origin) / step + 1;
    for (let place = 0; place < count + ahead; place++) {
      const time = (origin + place * step) as UTCTimestamp;
      const bar = byStart.get(time);
      slots.push(bar ? { time, open: bar.open, high: bar.high, low: bar.low, close: bar.close } : { time });
    }
    this.#series.setData(slots);
    // A bar's place is its middle: the moment at which it begins lies half a bar before it.
    const at = (iso: string): number => (seconds(iso) - origin) / step - 0.5;
    this.#fan.show(fan(forecasts, at));
    this.#tell(last, forecasts);
    // The newest bars that have room, and all that is ahead.
    const past = Math.max(40, Math.floor(this.#place.clientWidth / 8) - ahead);
    this.#framing.keep(Math.max(-1, count - past), count + Math.max(ahead, past / 8), minutes !== this.#minutes);
    this.#minutes = minutes;
  }

  recolour(): void {
    const { up, down, muted } = colours();
    this.#chart.applyOptions(look());
    this.#series.applyOptions({ upColor: up, wickUpColor: up, downColor: down, wickDownColor: down, priceLineColor: muted });
    this.#fan.recolour(colours());
  }

  #tell(last: Bar, forecasts: Forecast[]): void {
    const words = forecasts.map(
      (each) =>
        `in ${horizon(each.horizon)} between ${price(each.quantiles["0.05"] ?? 0)} and ${price(each.quantiles["0.95"] ?? 0)}`,
    );
    const label = `Candles up to ${clock(Date.parse(last.start))} UTC, last price ${price(last.close)}. 90 % forecast: ${words.join(", ")}.`;
    this.#place.setAttribute("aria-label", label);
    this.#place.dataset["bars"] = last.start;
    this.#place.dataset["fan"] = forecasts[0]?.as_of ?? "";
  }
}

/** From the price all quantiles meet in through those of each horizon. */
export function fan(forecasts: Forecast[], at: (iso: string) => number): BandPoint[] {
  const [first] = forecasts;
  if (!first) return [];
  const start = first.reference_price;
  return [
    { at: at(first.as_of), bands: [[start, start], [start, start], [start, start]], median: start },
    ...forecasts.map((each) => ({
      at: at(each.target_time),
      bands: bandsOf(each.quantiles),
      median: each.predicted_price,
    })),
  ];
}
