/** What is known of the market, kept fresh for as long as somebody looks. */

import { Channel } from "./channel";
import { Client, KeyRefusedError, RefusedError, TooManyError } from "./client";
import { Loop, untilMinute } from "./loops";
import type { Bar, Bars, Forecast, Forecasts, History, Listening, Model, PastForecast, Scores } from "./types";

export const INTERVALS = { "1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240 } as const;
export type Interval = keyof typeof INTERVALS;

const SHOWN = 180;
/** The API cuts bars from so many minutes at most. */
const MOST_MINUTES = 14_400;
const PAST = 120;
const OPEN_BAR_EVERY = 5_000;
const ALL_BARS_EVERY = 300_000;
const SCORES_EVERY = 120_000;
const MODEL_EVERY = 600_000;
/** ms after a full minute: when a forecast may be there, how often it is then looked for, and for how long so. */
const FORECAST_AFTER = 1_200;
const FORECAST_AGAIN = 1_000;
const FORECAST_HURRY = 20_000;
/** ms after a full minute: when one that should have been pushed is asked for all the same. */
const PUSH_MISSED = 20_000;
const OUTCOME_AFTER = 5_000;

export interface Market {
  venue: string;
  symbol: string;
}

export interface Known {
  bars: Bar[] | null;
  interval: Interval;
  /** Up to when the feed is known to be alive (ms); null where it never was. */
  alive: number | null;
  forecasts: Forecast[] | null;
  past: PastForecast[] | null;
  scores: Scores | null;
  model: Model | null;
  answered: number;
}

export interface Trouble {
  kind: "key" | "spent" | "down" | "busy" | "refused" | "partly";
  words: string;
  /** What cannot be read, where that is not all. */
  parts?: Part[];
}

type Part = "prices" | "past forecasts" | "the model" | "forecasts" | "scores";

/** How a part's last request ended: null is well. `since` the first of its failures in a row, or its last success (ms). */
interface Outcome {
  trouble: Trouble | null;
  since: number;
}

/** The gravest first. */
const GRAVITY: Trouble["kind"][] = ["key", "spent", "down", "busy", "refused"];
/** Who is told to wait for longer (ms) has not asked too fast, but used up a quota. */
const SPENT = 60_000;

export class Live {
  readonly known: Known = {
    bars: null,
    interval: "1m",
    alive: null,
    forecasts: null,
    past: null,
    scores: null,
    model: null,
    answered: 0,
  };
  readonly #outcomes = new Map<Part, Outcome>();
  #horizon: number;
  #interval: Interval;
  #allBarsAt = 0;
  #asOf = "";
  readonly #loops: Loop[];
  readonly #bars: Loop;
  readonly #past: Loop;
  readonly #model: Loop;
  readonly #forecasts: Loop;
  readonly #channel: Channel;

  constructor(
    private readonly client: Client,
    private readonly market: Market,
    chosen: { horizon: number; interval: Interval },
    private readonly changed: () => void,
  ) {
    this.#horizon = chosen.horizon;
    this.#interval = chosen.interval;
    this.#bars = this.#loop("prices", () => this.#readBars());
    this.#past = this.#loop("past forecasts", () => this.#readPast());
    this.#model = this.#loop("the model", () => this.#read("model", "v1/models/current", {}, MODEL_EVERY));
    this.#forecasts = this.#loop("forecasts", () => this.#readForecasts());
    const scores = this.#loop("scores", () => this.#read("scores", `v1/scores/${market.symbol}`, this.#venue, SCORES_EVERY));
    this.#loops = [this.#bars, this.#past, this.#model, this.#forecasts, scores];
    // Once it is open the newest is asked for: what is made between the two is pushed. Once it is not, all is asked for.
    this.#channel = new Channel(() => this.#ticket(), (message) => this.#hear(message), () => void this.#forecasts.now());
  }

  /** Whether forecasts come as they are made. */
  get pushed(): boolean {
    return this.#channel.since !== null;
  }

  /** The gravest of all parts' troubles: each part tells of its own alone, so that none hides or lifts another's. */
  get trouble(): Trouble | null {
    const [all, troubles, parts] = [[...this.#outcomes], [] as Trouble[], [] as Part[]];
    for (const [name, { trouble, since }] of all) {
      if (!trouble) continue;
      // What fails while others are answered is no API that is down.
      const answered = trouble.kind === "down" && all.some(([, other]) => !other.trouble && other.since > since);
      if (answered) parts.push(name);
      else troubles.push(trouble);
    }
    const gravest = troubles.toSorted((one, other) => GRAVITY.indexOf(one.kind) - GRAVITY.indexOf(other.kind))[0];
    return gravest ?? (parts.length ? { kind: "partly", words: "", parts } : null);
  }

  look(horizon: number, interval: Interval): void {
    const [other, longer] = [horizon !== this.#horizon, interval !== this.#interval];
    this.#horizon = horizon;
    this.#interval = interval;
    if (other) {
      this.known.past = null;
      void this.#past.now();
    }
    if (longer) {
      this.#allBarsAt = 0;
      void this.#bars.now();
    }
  }

  stop(): void {
    this.#channel.stop();
    for (const loop of this.#loops) loop.stop();
  }

  get #venue(): Record<string, string> {
    return { venue: this.market.venue };
  }

  #loop(name: Part, step: () => Promise<number>): Loop {
    return new Loop(
      async () => {
        const wait = await step();
        const before = this.#outcomes.get(name)?.trouble;
        this.#outcomes.set(name, { trouble: null, since: Date.now() });
        if (before) this.changed();
        return wait;
      },
      (error) => this.#failed(name, error),
    );
  }

  async #get<T>(path: string, query: Record<string, string>): Promise<T> {
    const answer = await this.client.get<T>(path, query);
    this.known.answered = this.client.now();
    return answer;
  }

  async #read<K extends "model" | "scores">(name: K, path: string, query: Record<string, string>, wait: number): Promise<number> {
    this.known[name] = await this.#get<NonNullable<Known[K]>>(path, query);
    this.changed();
    return wait;
  }

  async #readBars(): Promise<number> {
    const interval = this.#interval;
    const [now, minutes] = [this.client.now(), INTERVALS[interval]];
    const all = now - this.#allBarsAt > ALL_BARS_EVERY || !this.known.bars?.length;
    const oldest = now - Math.min(SHOWN * minutes, MOST_MINUTES - minutes) * 60_000;
    // From where bars may have changed since they were read, however long ago that was: nothing is asked in a hidden tab.
    const newest = Math.min(Date.parse(this.known.bars?.at(-1)?.start ?? ""), now) - 2 * minutes * 60_000;
    const query = { ...this.#venue, interval, start: iso(all ? oldest : Math.max(oldest, newest)) };
    const answer = await this.#get<Bars>(`v1/bars/${this.market.symbol}`, query);
    if (interval !== this.#interval) return 0;
    this.known.bars = all ? answer.bars : merged(this.known.bars ?? [], answer.bars);
    this.known.interval = interval;
    this.known.alive = answer.as_of ? Date.parse(answer.as_of) : null;
    if (all) this.#allBarsAt = now;
    this.changed();
    return OPEN_BAR_EVERY;
  }

  async #ticket(): Promise<string> {
    return (await this.#get<Listening>(`v1/forecasts/${this.market.symbol}/live`, this.#venue)).url;
  }

  #hear(message: string): void {
    this.#take(JSON.parse(message) as Forecasts);
    // As good as read, so what failed before is over; yet no sign that the API which is asked answers.
    if (this.#outcomes.get("forecasts")?.trouble && this.#outcomes.delete("forecasts")) this.changed();
    this.#forecasts.later(untilMinute(this.client.now(), PUSH_MISSED));
  }

  /** Whether it is newer than what was known; what is older comes from an answer that was overtaken. */
  #take(answer: Forecasts): boolean {
    const [before, asOf] = [this.#asOf, answer.as_of ?? ""];
    if (asOf < before) return false;
    const model = this.known.forecasts?.[0]?.model_version;
    this.#asOf = asOf;
    this.known.forecasts = answer.forecasts.toSorted((one, other) => one.horizon - other.horizon);
    if (model && this.known.forecasts[0]?.model_version !== model) void this.#model.now();
    this.changed();
    return asOf > before;
  }

  /** As soon after a full minute as its forecast is there, unless it will be pushed. */
  async #readForecasts(): Promise<number> {
    const answer = await this.#get<Forecasts>(`v1/forecasts/${this.market.symbol}`, this.#venue);
    const newer = this.#take(answer);
    const now = this.client.now();
    const { since } = this.#channel;
    if (since !== null) {
      // A channel that has brought nothing for longer than that is open in name only.
      if (newer && Date.now() - since > 60_000) this.#channel.close();
      return untilMinute(now, PUSH_MISSED);
    }
    const expected = now - (now % 60_000);
    if (answer.as_of && Date.parse(answer.as_of) >= expected) return untilMinute(now, FORECAST_AFTER);
    return now - expected < FORECAST_HURRY ? FORECAST_AGAIN : OPEN_BAR_EVERY;
  }

  async #readPast(): Promise<number> {
    const horizon = this.#horizon;
    const query = { ...this.#venue, horizon: `${horizon}`, limit: `${PAST + horizon}` };
    const { forecasts } = await this.#get<History>(`v1/forecasts/${this.market.symbol}/history`, query);
    if (horizon !== this.#horizon) return 0;
    this.known.past = forecasts;
    this.changed();
    return untilMinute(this.client.now(), OUTCOME_AFTER);
  }

  #failed(name: Part, error: unknown): void {
    const [trouble, before] = [named(error), this.#outcomes.get(name)];
    this.#outcomes.set(name, { trouble, since: before?.trouble ? before.since : Date.now() });
    if (trouble.kind === "key") this.stop();
    this.changed();
  }
}

function named(error: unknown): Trouble {
  if (error instanceof KeyRefusedError) return { kind: "key", words: error.message };
  if (error instanceof TooManyError) return { kind: error.wait > SPENT ? "spent" : "busy", words: error.message };
  if (error instanceof RefusedError) return { kind: "refused", words: `${error.message}.` };
  return { kind: "down", words: "" };
}

/** The bars with those that came later in their places, and no more than are shown. */
function merged(held: Bar[], newer: Bar[]): Bar[] {
  const byStart = new Map([...held, ...newer].map((bar) => [bar.start, bar]));
  return [...byStart.values()].toSorted((one, other) => Date.parse(one.start) - Date.parse(other.start)).slice(-SHOWN);
}

function iso(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+/, "");
}
