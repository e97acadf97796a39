/** What the API tells, as far as the page reads it. Times are ISO 8601, prices dollars, losses basis points. */

export interface Bar {
  start: string;
  open: number;
  high: number;
  low: number;
  close: number;
  closed: boolean;
  complete: boolean;
  source: string;
}

export interface Bars {
  symbol: string;
  venue: string;
  as_of: string | null;
  staleness_s: number | null;
  bars: Bar[];
}

export interface Forecast {
  as_of: string;
  horizon: number;
  target_time: string;
  reference_price: number;
  predicted_price: number;
  quantiles: Record<string, number>;
  probability_up: number;
  model_version: string;
  baseline: boolean;
  baseline_reason: string | null;
}

export interface Forecasts {
  as_of: string | null;
  staleness_s: number | null;
  forecasts: Forecast[];
}

/** Where forecasts are pushed; opens once. */
export interface Listening {
  url: string;
}

export interface Outcome {
  realised_price: number;
  covered_90: boolean;
}

export type PastForecast = Forecast & { outcome: Outcome | null };

export interface History {
  forecasts: PastForecast[];
}

export interface Sums {
  forecasts: number;
  loss_bp: number | null;
  skill: Record<string, number | null>;
  coverage_90: number | null;
  coverage_50: number | null;
  /** The share of realised prices at or below each quantile, by its level. */
  coverage: Record<string, number>;
  direction: number | null;
  direction_forecasts: number;
}

export interface Scores {
  as_of: string | null;
  horizons: { horizon: number; windows: { days: number; overall: Sums }[] }[];
}

/** Of one horizon on the rows kept for the test; skill with its 95 % interval. */
export interface Tested {
  crps_skill: number;
  crps_skill_low: number;
  crps_skill_high: number;
  best_baseline: string;
  coverage_90: number;
}

export interface Model {
  model_version: string | null;
  baseline: boolean;
  package: string | null;
  trained_from: string | null;
  trained_until: string | null;
  tested_from: string | null;
  tested_until: string | null;
  promoted_at: string | null;
  /** By horizon. */
  metrics: Record<string, Tested> | null;
}

export interface Health {
  status: string;
  feed_age_s: Record<string, number | null>;
}

/** The OpenAPI document, as far as it tells who is let in. */
export interface Contract {
  components: { securitySchemes: Record<string, unknown> };
}
