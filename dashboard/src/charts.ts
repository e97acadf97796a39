/** What both charts have in common: their look, and how keys move through them. */

import { ColorType, createChart, CrosshairMode, type DeepPartial, type IChartApi, type LogicalRange, type TimeChartOptions, type UTCTimestamp } from "lightweight-charts";

import { clock, day, price } from "./format";
import { colours } from "./theme";

export function seconds(iso: string): UTCTimestamp {
  return (Date.parse(iso) / 1000) as UTCTimestamp;
}

/** An empty chart that fills its place; times in UTC. */
export function chart(place: HTMLElement): IChartApi {
  const made = createChart(place, {
    autoSize: true,
    crosshair: { mode: CrosshairMode.Magnet },
    localization: {
      priceFormatter: price,
      timeFormatter: (time: UTCTimestamp) => `${day(time * 1000)} ${clock(time * 1000)} UTC`,
    },
    rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.08 } },
    timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, minBarSpacing: 1 },
    // A page scrolls under a finger or a wheel; charts are moved by dragging sideways.
    handleScroll: { vertTouchDrag: false, mouseWheel: false },
    handleScale: { mouseWheel: false, axisPressedMouseMove: { price: false, time: true } },
    ...look(),
  });
  place.addEventListener("keydown", (event) => {
    if (move(made, event.key)) event.preventDefault();
  });
  return made;
}

export function look(): DeepPartial<TimeChartOptions> {
  const { ink, muted, line } = colours();
  const crosshair = { color: muted, labelBackgroundColor: ink };
  return {
    layout: {
      // The page credits the chart's makers in words.
      attributionLogo: false,
      background: { type: ColorType.Solid, color: "transparent" },
      fontFamily: getComputedStyle(document.body).fontFamily,
      fontSize: 11,
      textColor: muted,
    },
    grid: { horzLines: { color: line }, vertLines: { visible: false } },
    crosshair: { horzLine: crosshair, vertLine: crosshair },
  };
}

/** Keeps what is asked for in view as time goes on, until somebody moves the chart; then it leaves it alone. */
export class Framing {
  #asked: LogicalRange | null = null;

  constructor(private readonly made: IChartApi) {}

  /** In places of the time axis; `anew` also where the chart was moved. */
  keep(from: number, to: number, anew: boolean): void {
    const scale = this.made.timeScale();
    const seen = scale.getVisibleLogicalRange();
    const asked = this.#asked;
    const unmoved = !seen || !asked || (near(seen.from, asked.from) && near(seen.to, asked.to));
    if (!anew && !unmoved) return;
    scale.setVisibleLogicalRange({ from, to });
    this.#asked = scale.getVisibleLogicalRange();
  }
}

/** A chart that is made wider, or gets a bar more, counts as unmoved. */
function near(one: number, other: number): boolean {
  return Math.abs(one - other) < 1.5;
}

/** Whether the key was one that moves the chart. */
function move(made: IChartApi, key: string): boolean {
  const scale = made.timeScale();
  const spacing = scale.options().barSpacing;
  const moves: Record<string, () => void> = {
    ArrowLeft: () => scale.scrollToPosition(scale.scrollPosition() - 5, false),
    ArrowRight: () => scale.scrollToPosition(scale.scrollPosition() + 5, false),
    "+": () => scale.applyOptions({ barSpacing: Math.min(60, spacing * 1.25) }),
    "-": () => scale.applyOptions({ barSpacing: Math.max(1, spacing / 1.25) }),
    Home: () => scale.fitContent(),
  };
  moves[key]?.();
  return key in moves;
}
