"""The pictures of a training's story, light and without anything that has to be explained twice."""

import io
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.baselines import NAMES as BASELINES
from training.insights import HEADS, Curve, Story

INK: Final = "#1f2937"
MUTED: Final = "#64748b"
GRID: Final = "#e2e8f0"
GOOD: Final = "#ecfdf5"
HUES: Final = ("#14b8a6", "#2563eb", "#8b5cf6", "#db2777")
"""Of the horizons, the shortest first."""
LABELS: Final[Mapping[str, str]] = dict(zip(BASELINES, ("naive", "EWMA", "HAR", "GARCH", "look-back"), strict=True))
"""Baselines as people write them."""
RIVALS: Final[Mapping[str, str]] = dict(
    zip(BASELINES, ("#94a3b8", "#f59e0b", "#2563eb", "#10b981", "#a855f7"), strict=True)
)
WIDTH: Final = 9.6
"""Inches: all pictures stand in one column."""
DOTS: Final = 150
"""An inch."""
MOST_FEATURES: Final = 12


def skill(story: Story) -> Figure:
    """Skill against each baseline with its 95 % interval, a panel a horizon."""
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    panels = figure.subplots(1, len(story.metrics), sharey=True, squeeze=False)[0]
    for axes, (horizon, measured) in zip(panels, story.metrics.items(), strict=True):
        for place, name in enumerate(reversed(BASELINES)):
            told = measured["against"][name]
            low, middle, high = (100 * told[edge] for edge in ("crps_skill_low", "crps_skill", "crps_skill_high"))
            best = name == measured["best_baseline"]
            axes.plot([low, high], [place, place], color=RIVALS[name], linewidth=2.4, solid_capstyle="round")
            axes.plot(middle, place, "o", color=RIVALS[name], markersize=6)
            axes.annotate(
                f"{middle:+.1f} %",
                (high, place),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                fontweight="bold" if best else "normal",
                color=INK if best else MUTED,
            )
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_title(f"{horizon} min")
        axes.set_ylim(-0.5, len(BASELINES) - 0.5)
        axes.grid(visible=False, axis="y")
        left, right = axes.get_xlim()
        axes.set_xlim(left, right + 0.45 * (right - left))
        axes.xaxis.set_major_formatter("{x:g} %")
    panels[0].set_yticks(range(len(BASELINES)), [LABELS[name] for name in reversed(BASELINES)])
    return figure


def calibration(story: Story) -> Figure:
    """How often the truth lay under each quantile, and by how much that misses the level."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 100], [0, 100], color=MUTED, linewidth=1)
    right.axhspan(-1, 1, color=GOOD)
    right.axhline(0, color=MUTED, linewidth=1)
    for hue, (horizon, measured) in zip(HUES, story.metrics.items(), strict=False):
        levels = np.array([100 * float(level) for level in measured["coverage"]])
        found = np.array([100 * share for share in measured["coverage"].values()])
        left.plot(levels, found, "o-", color=hue, markersize=3.5, linewidth=1.2, label=f"{horizon} min")
        right.plot(levels, found - levels, "o-", color=hue, markersize=3.5, linewidth=1.2)
    left.set(xlabel="level of the quantile, %", ylabel="truth below it, %", xlim=(0, 100), ylim=(0, 100))
    left.set_title("Reliability")
    left.legend(loc="upper left")
    right.set(xlabel="level of the quantile, %", ylabel="points", xlim=(0, 100))
    right.set_title("Truth below the quantile, less its level")
    furthest = max(2.0, float(np.abs(right.get_ylim()).max()))
    right.set_ylim(-furthest, furthest)
    return figure


def coverage(story: Story) -> Figure:
    """What the 90 % interval covered: overall, in the calmest and in the wildest fifth."""
    figure = Figure(figsize=(WIDTH, 2.2), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(87, 93, color=GOOD)
    axes.axvline(90, color=MUTED, linewidth=1)
    kinds = (
        ("coverage_90_calm", "v", "calmest fifth"),
        ("coverage_90", "o", "overall"),
        ("coverage_90_wild", "^", "wildest fifth"),
    )
    for place, (hue, measured) in enumerate(reversed(list(zip(HUES, story.metrics.values(), strict=False)))):
        found = [100 * measured[name] for name, _, _ in kinds]
        axes.plot([min(found), max(found)], [place, place], color=GRID, linewidth=5, zorder=1)
        for name, marker, _ in kinds:
            size = 8 if marker == "o" else 6
            axes.plot(100 * measured[name], place, marker, color=hue, markersize=size, zorder=2)
        axes.annotate(
            f"{100 * measured['coverage_90']:.1f} %",
            (100 * measured["coverage_90"], place),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    for _, marker, label in kinds:
        axes.plot([], [], marker, color=MUTED, label=label)
    axes.set_yticks(range(len(story.metrics)), [f"{horizon} min" for horizon in reversed(list(story.metrics))])
    axes.set_ylim(-0.5, len(story.metrics) - 0.2)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 84), max(high, 96))
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter("{x:g} %")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def through_time(story: Story) -> Figure:
    """Skill against each baseline in each month (week, day) of the test, with 95 % intervals."""
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for axes, (horizon, by_baseline) in zip(panels, story.periods.items(), strict=False):
        axes.axhline(0, color=MUTED, linewidth=1)
        spans: list[str] = []
        for number, (name, told) in enumerate(by_baseline.items()):
            spans = [str(each.start) for each in told]
            middle, low, high = (
                100 * np.array([getattr(each, edge) for each in told]) for edge in ("skill", "low", "high")
            )
            places = np.arange(len(told)) + (number - (len(by_baseline) - 1) / 2) * 0.14
            axes.errorbar(
                places,
                middle,
                [middle - low, high - middle],
                fmt="o",
                color=RIVALS[name],
                markersize=4,
                elinewidth=1.4,
                label=LABELS[name],
            )
        axes.set_xticks(range(len(spans)), spans, rotation=30 if len(spans) > 6 else 0)
        axes.set_title(f"{horizon} min")
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_formatter("{x:g} %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(BASELINES))
    return figure


def importance(story: Story) -> Figure:
    """Which features the splits of each head gained most by, the horizons one after the other."""
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    titles = {"spread": "How far the price goes", "quantiles": "Where, in units of that"}
    for axes, head in zip(figure.subplots(1, 2), HEADS, strict=True):
        by_horizon = {horizon: shares for horizon, shares in story.gains[head].items() if shares}
        whole: dict[str, float] = {}
        for shares in by_horizon.values():
            for name, share in shares.items():
                whole[name] = whole.get(name, 0.0) + 100 * share / len(by_horizon)
        top = sorted(whole, key=whole.__getitem__)[-MOST_FEATURES:]
        left = np.zeros(len(top))
        for hue, (horizon, shares) in zip(HUES, by_horizon.items(), strict=False):
            width = np.array([100 * shares.get(name, 0.0) / len(by_horizon) for name in top])
            axes.barh(top, width, 0.7, left, color=hue, label=f"{horizon} min")
            left = left + width
        axes.set_title(titles[head])
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", labelcolor=INK, labelsize=8)
        axes.xaxis.set_major_formatter("{x:g} %")
        axes.set_xlabel("share of what all splits gained")
        if by_horizon:
            axes.legend(loc="lower right")
        else:
            _empty(axes)
    return figure


def learning(story: Story) -> Figure:
    """The loss on rows kept from the boosters, by round, first of the spread head, then of the quantile head."""
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    titles = {"spread": "while the spread head grows", "quantiles": "then while the quantile head grows"}
    began: dict[int, float] = {}
    panels = figure.subplots(1, 2, sharey=True)
    for axes, head in zip(panels, HEADS, strict=True):
        for hue, (horizon, curve) in zip(HUES, story.curves[head].items(), strict=False):
            if curve.rounds:
                began.setdefault(horizon, curve.losses[0])
                axes.plot(curve.rounds, _saved(curve, began[horizon]), color=hue, label=f"{horizon} min")
        axes.set_title(titles[head])
        axes.set_xlabel("rounds")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not axes.lines:
            _empty(axes)
        axes.yaxis.set_major_formatter("{x:g} %")
    panels[0].set_ylabel("loss less than after one round")
    if began:
        panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="best")
    return figure


def trials(story: Story) -> Figure:
    """Each trial's skill on the folds, in the order of their beginning, and the best until then."""
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots()
    best, steps = -np.inf, []
    for trial in story.trials:
        number = trial.number + 1
        if trial.state.name == "COMPLETE":
            best = max(best, trial.value or -np.inf)
            axes.plot(number, 100 * (trial.value or 0.0), "o", color=HUES[1], markersize=6)
        elif trial.intermediate_values:
            last = trial.intermediate_values[max(trial.intermediate_values)]
            axes.plot(number, 100 * last, "o", color=MUTED, fillstyle="none", markersize=6)
        if np.isfinite(best):
            steps.append((number, 100 * best))
    if steps:
        axes.step(*zip(*steps, strict=True), where="post", color=HUES[1], linewidth=1.2, label="best until then")
    axes.plot([], [], "o", color=HUES[1], label="complete")
    axes.plot([], [], "o", color=MUTED, fillstyle="none", label="given up, where it then stood")
    axes.set(xlabel="trial", ylabel="skill on the folds")
    axes.set_xlim(0.5, max([2, *(trial.number + 1 for trial in story.trials)]) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.legend(loc="lower right")
    return figure


ALL: Final[Mapping[str, Callable[[Story], Figure]]] = {
    "skill": skill,
    "calibration": calibration,
    "coverage": coverage,
    "through_time": through_time,
    "importance": importance,
    "learning": learning,
    "trials": trials,
}


def drawn(story: Story) -> dict[str, bytes]:
    """Every picture as PNG by its name."""
    pictures = {}
    with _style():
        for name, draw in ALL.items():
            buffer = io.BytesIO()
            draw(story).savefig(buffer, format="png", dpi=DOTS)
            pictures[name] = buffer.getvalue()
    return pictures


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "font.size": 9,
            "text.color": INK,
            "axes.edgecolor": "#cbd5e1",
            "axes.labelcolor": MUTED,
            "axes.titlecolor": INK,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": GRID,
            "grid.linewidth": 0.8,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "legend.frameon": False,
        }
    )


def _empty(axes: Axes) -> None:
    """Says that a head did not grow, where its picture would be."""
    axes.text(0.5, 0.5, "stayed without a tree", transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.grid(visible=False)
    axes.set_xticks([])


def _saved(curve: Curve, began: float) -> list[float]:
    return [100 * (1 - loss / began) for loss in curve.losses]
