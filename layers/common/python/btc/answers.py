"""What the API answers: the one definition of its bodies, for the handler, for its OpenAPI document and for clients."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, structs

Time = Annotated[str, Meta(description="ISO 8601, UTC", extra_json_schema={"format": "date-time"})]
Share = Annotated[float, Meta(ge=0, le=1)]
Minutes = Annotated[int, Meta(description="Minutes ahead")]


class Answer(Struct, frozen=True, kw_only=True):
    """What every answer says of its age."""

    as_of: Annotated[Time | None, Meta(description="Nothing later is in the answer; null where there is nothing yet")]
    staleness_s: Annotated[float | None, Meta(description="How long ago that was when the answer was made")]

    ages: ClassVar[tuple[str, ...]] = ("staleness_s",)

    def ageless(self) -> "Answer":
        """The answer without what only the passing of time changes: two that are equal so tell the same."""
        return structs.replace(self, **dict.fromkeys(self.ages))


class MarketAnswer(Answer, frozen=True, kw_only=True):
    symbol: str
    venue: str


class Forecast(Struct, frozen=True):
    """The distribution of the price at `target_time`."""

    market: Annotated[str, Meta(description="venue:SYMBOL")]
    symbol: str
    as_of: Annotated[Time, Meta(description="The close of the last bar used")]
    horizon: Minutes
    target_time: Time
    reference_price: Annotated[float, Meta(description="The last price at `as_of`")]
    predicted_price: Annotated[float, Meta(description="The median")]
    quantiles: Annotated[dict[str, float], Meta(description="Price by level, 0.05 to 0.95, never falling")]
    probability_up: Share
    model_version: str
    baseline: Annotated[bool, Meta(description="No promoted model could be used: this is the calibrated baseline")]
    baseline_reason: Annotated[str | None, Meta(description="Why; null where a model made it")]


class Outcome(Struct, frozen=True):
    """What the future said of a forecast. Losses are pinball losses in basis points, averaged over the quantiles."""

    realised_price: float
    loss_bp: float
    baseline_loss_bp: Annotated[dict[str, float], Meta(description="By baseline, of the same price")]
    covered_90: Annotated[bool, Meta(description="The price lay within the 90 % interval")]
    covered_50: bool
    direction: Annotated[bool | None, Meta(description="The median lay on its side; null where there was none")]


class PastForecast(Forecast, frozen=True):
    """A forecast, with its outcome once the minute it was for is proven complete."""

    outcome: Outcome | None


class Forecasts(MarketAnswer, frozen=True, kw_only=True):
    """The newest forecast of each horizon."""

    complete: Annotated[
        bool | None, Meta(description="The bar they start from is proven to hold all its trades; null without one")
    ]
    forecasts: list[Forecast]


class Live(MarketAnswer, frozen=True, kw_only=True):
    """A WebSocket that sends each new `Forecasts` as text; it takes nothing."""

    url: Annotated[str, Meta(description="Opens once: it carries a ticket")]
    expires_s: Annotated[int, Meta(description="How long it may be opened")]


class History(MarketAnswer, frozen=True, kw_only=True):
    """Forecasts of one horizon, newest first."""

    horizon: Minutes
    forecasts: list[PastForecast]
    next_cursor: Annotated[str | None, Meta(description="For the page before this one in time; null on the last")]


class Bar(Struct, frozen=True):
    """A bar of trades in [start, start + interval); numbers are exact decimals."""

    start: Time
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    buy_volume: Annotated[Decimal | None, Meta(description="Null, as below, where the venue's own bar does not tell")]
    turnover: Decimal | None
    trade_count: int | None
    first_trade_id: int | None
    last_trade_id: int | None
    closed: Annotated[bool, Meta(description="The feed has passed its end")]
    complete: Annotated[bool, Meta(description="Proven by the trade ids to hold every trade")]
    source: Annotated[str, Meta(description="trades, or klines: the venue's own bar, which is never proven")]


class Bars(MarketAnswer, frozen=True, kw_only=True):
    """Bars, oldest first, as of the time up to which the feed is known to be alive, or the end asked for if earlier."""

    interval: str
    complete: Annotated[bool, Meta(description="Every minute asked for that is over is there, and proven")]
    bars: list[Bar]


class Scores(Struct, frozen=True):
    """Sums over scored forecasts. Skill is 1 - loss / the baseline's loss on the same forecasts."""

    forecasts: int
    loss_bp: float | None
    baseline_loss_bp: dict[str, float | None]
    skill: dict[str, float | None]
    best_baseline: str | None
    coverage_90: Share | None
    coverage_50: Share | None
    coverage: Annotated[dict[str, Share], Meta(description="Share of prices at or below each quantile, by level")]
    direction: Share | None
    direction_forecasts: int


class Window(Struct, frozen=True):
    """So many whole UTC days and the current one."""

    days: int
    since: Time
    model: Annotated[Scores, Meta(description="Of the model version that serves")]
    overall: Scores


class HorizonScores(Struct, frozen=True):
    horizon: Minutes
    model_version: str | None
    windows: list[Window]


class LiveScores(MarketAnswer, frozen=True, kw_only=True):
    """How forecasts have done, by horizon; only minutes that are proven complete are scored."""

    horizons: list[HorizonScores]


class Model(Answer, frozen=True, kw_only=True):
    """The model that serves, or that the baseline does; `as_of` is the end of what it learnt from."""

    model_version: str | None
    baseline: bool
    age_s: float | None
    package: Annotated[str | None, Meta(description="Version in the registry")] = None
    artefact: str | None = None
    trained_from: Time | None = None
    trained_until: Time | None = None
    tested_from: Time | None = None
    tested_until: Time | None = None
    promoted_at: Time | None = None
    rows: Annotated[dict[str, int] | None, Meta(description="By part: fit, validate, calibrate, test")] = None
    metrics: Annotated[dict[str, dict[str, Any]] | None, Meta(description="On the test rows, by horizon")] = None
    dataset: Annotated[str | None, Meta(description="Hash of the bars it learnt from")] = None
    code: Annotated[str | None, Meta(description="Hash of the program that trained it")] = None

    ages: ClassVar[tuple[str, ...]] = ("staleness_s", "age_s")


class Health(Answer, frozen=True, kw_only=True):
    """The feed that is furthest behind tells `as_of`."""

    status: Annotated[str, Meta(description="ok or stale")]
    feed_age_s: Annotated[dict[str, float | None], Meta(description="By market")]
