"""What each function is told by its environment: written by the infrastructure, read at its start.

A field `bars_table` is the environment variable BARS_TABLE. One type serves both sides, so that a name that is
written is a name that is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, get_type_hints

from btc.trades import Market


class SettingsError(ValueError):
    """An environment variable is missing or does not read as what it should be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Fields are str, int, float, bool or tuple[str, ...] (comma-separated)."""

    def to_env(self) -> dict[str, str]:
        return {field.name.upper(): _text(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Raises SettingsError naming every variable that is missing or unreadable."""
        kinds = get_type_hints(cls)
        values: dict[str, Any] = {}
        faults = []
        for field in fields(cls):
            name = field.name.upper()
            if name not in environment:
                faults.append(f"{name} is not set")
                continue
            try:
                values[field.name] = _value(environment[name], kinds[field.name])
            except ValueError:
                faults.append(f"{name}={environment[name]!r} is not of type {kinds[field.name]}")
        if faults:
            raise SettingsError(f"{cls.__name__}: {'; '.join(faults)}")
        return cls(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestTrades(Settings):
    stream: str
    state_table: str
    venue: str
    symbols: tuple[str, ...]
    history_days: int
    """How far back bars are filled, where there are none yet, from the venue's REST history."""
    batch_ms: int
    """The longest a trade waits for others to share its record."""
    watermark_lag_ms: int
    """How far behind the venue's own clock a watermark stays, for trades still on their way."""
    websocket_url: str
    """Empty: the venue's public address."""
    rest_url: str
    """Empty: the venue's public address."""

    @property
    def markets(self) -> tuple[Market, ...]:
        return tuple(Market(self.venue, symbol) for symbol in self.symbols)


@dataclass(frozen=True, kw_only=True, slots=True)
class FillHistory(Settings):
    stream: str
    bars_table: str
    state_table: str
    retention_days: int
    """How long the online table keeps a kline; the lake keeps it for good."""
    bytes_per_s: int
    """What trades of the past may take of the stream, which they share with those of the present; 0: all of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AggregateBars(Settings):
    bars_table: str
    state_table: str
    retention_days: int
    """How long the online table keeps a bar after its last change; the lake keeps it for good."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditBars(Settings):
    bars_table: str
    state_table: str
    stream: str
    markets: tuple[str, ...]
    """`venue:SYMBOL`"""
    look_back_days: int
    every_minutes: int
    """How often a run comes: what a venue lacks is asked for again by it."""
    rest_url: str
    """Empty: each venue's public address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveBars(Settings):
    bars_table: str
    lake_bucket: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveTrades(Settings):
    lake_bucket: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveForecasts(Settings):
    forecasts_table: str
    lake_bucket: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast(Settings):
    bars_table: str
    forecasts_table: str
    state_table: str
    retention_days: int
    max_bar_age_s: int
    """A bar that closed longer ago than this is history: nobody waits for its forecast."""
    max_model_age_days: int
    """An older champion has expired: the baseline is served until a newer one is promoted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreForecasts(Settings):
    bars_table: str
    forecasts_table: str
    scores_table: str
    state_table: str
    markets: tuple[str, ...]
    """`venue:SYMBOL`"""
    retention_days: int
    """How long forecasts and scores are kept: within a day, each hour of them is looked at again."""
    catch_up_hours: int
    """How far each hour looks back for bars that were proven late, or not scored yet."""
    least_forecasts: int
    """Fewer scored forecasts of a horizon in a week say nothing of the model."""
    coverage_low: float
    coverage_high: float
    """What the 90 % interval may cover of a week."""
    skill_low: float
    """What the skill against the best baseline may be over a week."""
    pipeline: str
    """The SageMaker pipeline that trains anew where a model is out of bounds."""
    retrain_pause_hours: int
    """At most one such training in so many hours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectListeners(Settings):
    listeners_table: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PushForecasts(Settings):
    bars_table: str
    forecasts_table: str
    listeners_table: str
    channel_url: str
    """Where clients connect; connections are managed at the same address over HTTPS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromoteModel(Settings):
    state_table: str
    model_package_group: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Api(Settings):
    bars_table: str
    forecasts_table: str
    scores_table: str
    state_table: str
    markets: tuple[str, ...]
    """`venue:SYMBOL`; the first venue of a symbol is the one a request without `venue` means."""
    cors_origin: str
    """Whose pages may read the answers: an origin, `*`, or nobody's but its own where it is empty."""
    signed: bool
    """The gateway asks for an IAM signature beside the key, as the OpenAPI document then says."""
    channel_url: str
    """Where forecasts are pushed; empty: nowhere."""
    listeners_table: str


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _value(text: str, kind: Any) -> object:
    if kind is bool:
        return {"true": True, "false": False}[text] if text in ("true", "false") else _refuse(text)
    if kind in (int, float, str):
        return kind(text)
    return tuple(part for part in text.split(",") if part)


def _refuse(text: str) -> bool:
    raise ValueError(text)
