"""Answers as lines for people."""

from collections.abc import Sequence
from functools import singledispatch

from btc import answers

Rows = Sequence[Sequence[str]]


@singledispatch
def table(answer: answers.Answer) -> list[str]:
    raise TypeError(f"{type(answer).__name__} has no table: ask for --json")


@table.register
def _(answer: answers.Forecasts) -> list[str]:
    rows = [
        (
            f"{each.horizon} min",
            each.target_time,
            _price(each.predicted_price),
            f"{_price(each.quantiles['0.05'])} – {_price(each.quantiles['0.95'])}",
            f"{each.probability_up:.0%}",
            each.model_version,
        )
        for each in answer.forecasts
    ]
    heading = [("ahead", "for", "median", "90 % interval", "rises", "made by"), *rows]
    whole = {True: "proven complete", False: "not proven complete", None: "unknown"}[answer.complete]
    reasons = {each.baseline_reason for each in answer.forecasts if each.baseline_reason}
    return [
        f"{_market(answer)}, the last bar {whole}",
        *_aligned(heading),
        *(f"the baseline serves: {reason}" for reason in sorted(reasons)),
    ]


@table.register
def _(answer: answers.History) -> list[str]:
    rows = [("for", "median", "90 % interval", "came", "within", "loss bp")]
    for each in answer.forecasts:
        came = each.outcome
        rows.append(
            (
                each.target_time,
                _price(each.predicted_price),
                f"{_price(each.quantiles['0.05'])} – {_price(each.quantiles['0.95'])}",
                _price(came.realised_price) if came else "–",
                {True: "yes", False: "no"}[came.covered_90] if came else "–",
                f"{came.loss_bp:.3f}" if came else "–",
            )
        )
    more = [f"more: --cursor {answer.next_cursor}"] if answer.next_cursor else []
    return [f"{_market(answer)}, {answer.horizon} min ahead", *_aligned(rows), *more]


@table.register
def _(answer: answers.Bars) -> list[str]:
    rows: list[tuple[str, ...]] = [("start", "open", "high", "low", "close", "volume", "trades", "proven")]
    rows += [
        (
            bar.start,
            *(f"{price:,f}" for price in (bar.open, bar.high, bar.low, bar.close)),
            f"{bar.volume:f}",
            "–" if bar.trade_count is None else str(bar.trade_count),
            "yes" if bar.complete else "no" if bar.closed else "open",
        )
        for bar in answer.bars
    ]
    return [f"{_market(answer)}, {answer.interval}", *_aligned(rows)]


@table.register
def _(answer: answers.LiveScores) -> list[str]:
    rows = [("ahead", "days", "scored", "loss bp", "best baseline", "skill", "90 % covers", "right side")]
    for horizon in answer.horizons:
        for window in horizon.windows:
            sums = window.overall
            best = sums.best_baseline
            rows.append(
                (
                    f"{horizon.horizon} min",
                    str(window.days),
                    f"{sums.forecasts:,}",
                    "–" if sums.loss_bp is None else f"{sums.loss_bp:.3f}",
                    best or "–",
                    _share(sums.skill.get(best) if best else None, sign="+"),
                    _share(sums.coverage_90),
                    _share(sums.direction),
                )
            )
    return [_market(answer), *_aligned(rows)]


@table.register
def _(answer: answers.Model) -> list[str]:
    if answer.baseline:
        return ["no model has been promoted: the baseline serves"]
    told = {
        "model": answer.model_version,
        "package": answer.package,
        "trained": f"{answer.trained_from or '…'} – {answer.trained_until}",
        "tested": f"{answer.tested_from or '…'} – {answer.tested_until or '…'}",
        "promoted": answer.promoted_at,
    }
    return _aligned([(name, value or "–") for name, value in told.items()])


@table.register
def _(answer: answers.Health) -> list[str]:
    rows = [(name, "never" if age is None else f"{age:,.1f} s ago") for name, age in answer.feed_age_s.items()]
    return [answer.status, *_aligned(rows)]


def _market(answer: answers.MarketAnswer) -> str:
    aged = f"as of {answer.as_of}, {answer.staleness_s:,.1f} s ago" if answer.as_of else "nothing yet"
    return f"{answer.symbol} at {answer.venue}, {aged}"


def _price(price: float) -> str:
    return f"{price:,.2f}"


def _share(share: float | None, sign: str = "") -> str:
    return "–" if share is None else format(share, f"{sign}.1%")


def _aligned(rows: Rows) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
