/** Quantile bands and a median drawn beneath a series of lightweight-charts, at places between its bars too. */

import type {
  IChartApi,
  IPrimitivePaneRenderer,
  IPrimitivePaneView,
  ISeriesApi,
  ISeriesPrimitive,
  Logical,
  SeriesAttachedParameter,
  SeriesType,
  Time,
} from "lightweight-charts";

import type { Colours } from "./theme";

export const LEVELS = [
  ["0.05", "0.95"],
  ["0.10", "0.90"],
  ["0.25", "0.75"],
] as const;

export interface BandPoint {
  /** Its place on the time axis, counted in bars; halves lie between two. */
  at: number;
  /** From the outermost to the innermost. */
  bands: [number, number][];
  median: number;
}

export interface Mark {
  at: number;
  price: number;
}

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

export class Bands implements ISeriesPrimitive<Time> {
  points: BandPoint[] = [];
  /** Prices that fell outside their band. */
  marks: Mark[] = [];
  /** Whether each point of the median gets a dot: they are few, and between them nothing was said. */
  dots = false;
  #chart: IChartApi | undefined;
  #series: ISeriesApi<SeriesType> | undefined;
  #redraw: (() => void) | undefined;
  readonly #views: IPrimitivePaneView[] = [
    { zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.#draw(target) }) },
  ];

  constructor(private colours: Colours) {}

  attached({ chart, series, requestUpdate }: SeriesAttachedParameter<Time>): void {
    this.#chart = chart as IChartApi;
    this.#series = series as ISeriesApi<SeriesType>;
    this.#redraw = requestUpdate;
  }

  show(points: BandPoint[], marks: Mark[] = []): void {
    this.points = points;
    this.marks = marks;
    this.#redraw?.();
  }

  recolour(colours: Colours): void {
    this.colours = colours;
    this.#redraw?.();
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return this.#views;
  }

  autoscaleInfo(from: Logical, to: Logical): { priceRange: { minValue: number; maxValue: number } } | null {
    const seen = this.points.filter((point) => point.at >= from - 1 && point.at <= to + 1).map((point) => point.bands[0]!);
    if (!seen.length) return null;
    const minValue = Math.min(...seen.map(([low]) => low));
    return { priceRange: { minValue, maxValue: Math.max(...seen.map(([, high]) => high)) } };
  }

  #draw(target: Target): void {
    const [chart, series] = [this.#chart, this.#series];
    if (!chart || !series || !this.points.length) return;
    target.useBitmapCoordinateSpace(({ context, horizontalPixelRatio: across, verticalPixelRatio: down }) => {
      const bar = (place: number): number => chart.timeScale().logicalToCoordinate(place as Logical) ?? 0;
      // Only whole places have a coordinate; those between lie on the line through two.
      const x = (at: number): number => {
        const left = Math.floor(at);
        return (bar(left) + (at - left) * (bar(left + 1) - bar(left))) * across;
      };
      const y = (price: number): number => (series.priceToCoordinate(price) ?? 0) * down;
      this.#areas(context, x, y);
      this.#line(context, x, y, across);
      this.#outside(context, x, y, across);
    });
  }

  #areas(context: CanvasRenderingContext2D, x: (at: number) => number, y: (price: number) => number): void {
    for (const [place, colour] of this.colours.bands.entries()) {
      context.beginPath();
      for (const point of this.points) context.lineTo(x(point.at), y(point.bands[place]![1]));
      for (const point of this.points.toReversed()) context.lineTo(x(point.at), y(point.bands[place]![0]));
      context.closePath();
      context.fillStyle = colour;
      context.fill();
    }
  }

  #line(context: CanvasRenderingContext2D, x: (at: number) => number, y: (price: number) => number, ratio: number): void {
    context.beginPath();
    for (const point of this.points) context.lineTo(x(point.at), y(point.median));
    context.strokeStyle = this.colours.forecast;
    context.lineWidth = 1.5 * ratio;
    context.lineJoin = "round";
    context.stroke();
    if (this.dots) for (const point of this.points.slice(1)) this.#dot(context, x(point.at), y(point.median), 3 * ratio, this.colours.forecast);
  }

  #outside(context: CanvasRenderingContext2D, x: (at: number) => number, y: (price: number) => number, ratio: number): void {
    for (const mark of this.marks) this.#dot(context, x(mark.at), y(mark.price), 3.5 * ratio, this.colours.down);
  }

  #dot(context: CanvasRenderingContext2D, x: number, y: number, radius: number, colour: string): void {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
  }
}

export function bandsOf(quantiles: Record<string, number>): [number, number][] {
  return LEVELS.map(([low, high]) => [quantiles[low] ?? Number.NaN, quantiles[high] ?? Number.NaN]);
}
