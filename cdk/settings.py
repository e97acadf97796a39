"""What differs between one deployment and another."""

from dataclasses import dataclass, replace

from btc.trades import Market


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything a deployment is told. Durations carry their unit in their name."""

    name: str
    venue: str = "kraken"
    symbols: tuple[str, ...] = ("BTC-USD",)

    history_days: int = 30
    """How far back a new deployment fills its bars from the venue's REST history."""
    batch_ms: int = 5000
    """How long trades are gathered before they are sent, unless a minute ends: what is sent at once costs one write of
    its bar, and the bar under way is as old as this."""
    watermark_lag_ms: int = 1000
    """How long after a minute's end on the venue's clock its trades are waited for. Of 19,904 recorded ones the slowest
    took 0.22 s longer than the quickest; a later one changes its closed bar, but no forecast that was made of it."""
    websocket_url: str = ""
    rest_url: str = ""
    spot: bool = True
    """Run the ingest task on Fargate Spot, about 70 % cheaper and now and then replaced; False: On-Demand."""
    on_demand_fallback: bool = False
    """A second task, On-Demand, beside the one on Spot, for ECS falls back on nothing: what both send counts once."""

    shards: int = 1
    bar_retention_days: int = 60
    """In the online store; the lake keeps bars for good."""
    forecast_retention_days: int = 60
    aggregate_window_s: int = 0
    """How long records wait to be merged: the ingest task has gathered them, and a bar closes by so much later."""
    archive_window_s: int = 300
    """How long changed bars wait before their day in the lake is rewritten."""
    forecast_window_s: int = 300
    """The same for forecasts, whose days are several times larger and which nobody trains on."""
    tape_window_s: int = 300
    """How much of the tape goes into one object; Lambda waits no longer."""
    audit_minutes: int = 30
    """How often the bars are audited."""
    audit_days: int = 7
    """How far back."""
    max_bar_age_s: int = 600
    max_model_age_days: int = 30

    catch_up_hours: int = 24
    """How far back bars that were proven late are looked for each hour; those before are, within a day."""
    score_minutes: int = 5
    """How often forecasts are scored: each time costs the reading of a whole hour."""
    least_scored: int = 1000
    """Scored forecasts of a horizon within a week, without which nothing is said of a model."""
    live_coverage: tuple[float, float] = (0.85, 0.95)
    """What the 90 % interval may cover of a week before the model is trained anew."""
    least_live_skill: float = 0.0
    """Against the best baseline, over a week."""
    retrain_pause_hours: int = 24
    """At most one training out of turn in so many hours."""

    retrain: str = "cron(0 3 ? * SUN *)"
    training_instance: str = "ml.m5.xlarge"
    hyperparameters: tuple[tuple[str, str], ...] = ()
    mlflow: bool = False
    """Keep trainings in a serverless MLflow app; what it stores in S3 is paid for."""
    comet_secret: str = ""
    """The full ARN of a secret that holds an API key of Comet's: trainings are kept there too."""

    rate_per_s: int = 10
    """Of one key; and half as many again may come in a burst."""
    requests_per_day: int = 100_000
    total_rate_per_s: int = 50
    """Of each route that asks for a key, whoever asks."""
    open_rate_per_s: int = 20
    """Of each route and file that needs no key: it bounds what strangers can cost, and who has a key shares none of
    it."""
    live: bool = True
    """Push forecasts over a WebSocket API. None of it is billed by the hour; that a function looks once a minute who
    listens costs some cents a month."""
    tickets_per_minute: int = 6
    """Of one key, which so can hold no more connections than this for two hours, their longest life: what listening can
    cost at most."""
    cors_origin: str = ""
    """Whose pages may read the API's answers: an origin, `*`, or nobody's but its own."""
    signed: bool = False
    """Requests must be signed with IAM credentials (SigV4) too, by a caller with the policy that the API makes."""
    firewall: bool = False
    """AWS WAF before the API: refuses known attacks and addresses that ask too often; billed by rule and request."""
    snap_start: bool = False
    """Start `api` from a snapshot: billed for as long as a version is kept, and for each start."""
    query_scan_limit_gb: int = 1
    lake_venues: tuple[str, ...] = ("binance", "coinbase", "kraken")
    """Where queries look beside the stage's own market: history may be filled from other venues."""
    lake_symbols: tuple[str, ...] = ("BTC-USD", "BTC-USDT")

    alarm_email: str = ""
    """Who is told of alarms and of spending; empty: nobody until a subscriber is added to the topic."""
    monthly_budget_usd: int = 40
    """Spending of the account that is told of; 0: none."""
    model_warning_days: int = 23
    """How old what a champion has learnt may be before somebody is told. It is two weeks old, which the test took, when
    a training brings it, and three when the next one should have brought another."""
    dashboard: bool = True
    detailed_metrics: bool = False
    """Every figure of every function as a metric, each of which is billed by the month; False: in the logs alone."""

    tracing: bool = False
    """X-Ray follows requests through the API and its function, and each invocation of the others through its calls of
    AWS; traces are billed. Across a stream the minute in each log line leads on (btc.correlation)."""

    keep_data: bool = False
    """What holds data survives the stack, can be restored to a point in time, and is protected from deletion."""
    own_key: bool = False
    """Encrypt tables, buckets, the stream and logs with a key of the stack's own, for a dollar a month and a price a
    request, instead of with AWS's, which cost nothing."""
    log_days: int = 14
    layers: str = "lambda"
    """Which of build/layers: those for Lambda, or `local` ones, for the Python and the processor of this machine."""
    emulated: bool = False
    """For one machine instead of an account: nothing that only an account has use for."""

    @property
    def markets(self) -> tuple[Market, ...]:
        return tuple(Market(self.venue, symbol) for symbol in self.symbols)

    @property
    def prefix(self) -> str:
        """For what must be named: each stage has names of its own, so that two live beside each other."""
        return f"predict-bitcoin-{self.name}"

    @property
    def metrics(self) -> str:
        """The namespace of all that the stage measures: no stage's silence is filled by another's."""
        return self.stack_name

    @property
    def stack_name(self) -> str:
        return "PredictBitcoin" if self.name in ("dev", "local") else f"PredictBitcoin-{self.name}"


DEV = Stage(name="dev")
PROD = Stage(name="prod", keep_data=True, log_days=90, history_days=90, bar_retention_days=120, mlflow=True)
LOCAL = replace(
    DEV,
    name="local",
    layers="local",
    emulated=True,
    detailed_metrics=True,
    archive_window_s=2,
    score_minutes=1,
    forecast_window_s=2,
    tape_window_s=2,
    audit_minutes=5,
    batch_ms=100,
)

STAGES = {stage.name: stage for stage in (DEV, PROD, LOCAL)}


def stage_named(name: str) -> Stage:
    """Raises ValueError naming the stages there are."""
    if name not in STAGES:
        raise ValueError(f"there is no stage {name!r}: choose one of {', '.join(STAGES)} with `-c stage=NAME`")
    return STAGES[name]
