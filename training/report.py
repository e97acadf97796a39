"""One page a model, for people: the verdict, the pictures, and what it was made of. It needs no other file."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from training import figures
from training.baselines import NAMES as BASELINES
from training.figures import LABELS
from training.insights import Story

NAME: Final = "report.html"
OVERALL: Final = (0.89, 0.91)
"""What the 90 % interval is asked to cover of all rows …"""
REGIMES: Final = (0.87, 0.93)
"""… and of the calmest and the wildest fifth."""

_COVERAGES: Final = (
    ("coverage_90", "", OVERALL),
    ("coverage_90_calm", " in the calmest fifth", REGIMES),
    ("coverage_90_wild", " in the wildest fifth", REGIMES),
)
_MOST_NAMED: Final = 3
"""Coverages out of bounds that the verdict names one by one."""
_CAPTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "skill": (
        "Skill against each baseline",
        "How much smaller the pinball loss over 19 quantiles is than the baseline's on the same minutes. Bars are 95 % "
        "intervals by a paired block bootstrap; what lies right of zero is proven. Bold: the best baseline.",
    ),
    "coverage": (
        "Coverage of the 90 % interval",
        "What share of the outcomes it held: in the calmest fifth, overall, and in the wildest fifth of the minutes.",
    ),
    "calibration": (
        "Calibration",
        "A quantile of level 30 % should lie above the truth 30 % of the time.",
    ),
    "through_time": (
        "Skill through time",
        "Against each baseline, with 95 % intervals: a model that wins in one month only was lucky.",
    ),
    "importance": ("What it looks at", "The features by which the trees gained most, beyond the line they start from."),
    "learning": (
        "Learning curves",
        "Loss on minutes kept from the boosters. A curve that falls again has learnt its training rows by heart.",
    ),
    "trials": (
        "The search",
        "Mean skill over the walk-forward folds of each set of hyperparameters. Where there are several, each learnt "
        "from few rows; the best of them were then measured on all.",
    ),
}
_STYLE: Final = """
:root{color-scheme:light;--ink:#1f2937;--muted:#64748b;--line:#e2e8f0;--good:#047857;--bad:#b45309}
*{box-sizing:border-box}body{margin:0;background:#f8fafc;color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1040px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:27px;line-height:1.25;margin:4px 0 8px;letter-spacing:-.01em}h2{font-size:18px;margin:0 0 2px}
p{margin:0}.kicker,.note{color:var(--muted)}.kicker{font-size:13px}.note{font-size:13.5px;max-width:46em}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(215px,1fr));gap:14px;margin:26px 0}
.tile,section{background:#fff;border:1px solid var(--line);border-radius:12px}
.tile{padding:16px 18px}section{padding:20px 22px;margin-top:16px}
.tile h3{margin:0;font-size:13px;color:var(--muted);font-weight:600}
td .kicker{display:block;white-space:nowrap}
.big{font-size:30px;font-weight:650;letter-spacing:-.02em;line-height:1.25}
.good{color:var(--good)}.bad{color:var(--bad)}
dl{display:grid;grid-template-columns:1fr auto;gap:2px 12px;margin:10px 0 0;font-size:13.5px}
dt{color:var(--muted)}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
img{display:block;width:100%;height:auto;margin-top:12px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13.5px;margin-top:12px}
th{text-align:left;color:var(--muted);font-weight:600}td,th{padding:5px 14px 5px 0;border-bottom:1px solid var(--line)}
td{font-variant-numeric:tabular-nums}tr:last-child td{border:0}code{font-size:12.5px;overflow-wrap:anywhere}
"""


def write(folder: Path, story: Story) -> list[Path]:
    """report.html, and beside it in `figures` each of its pictures, in `folder`; the files written."""
    pictures = figures.drawn(story)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    files = [folder / NAME, *(folder / "figures" / f"{name}.png" for name in pictures)]
    files[0].write_text(page(story, pictures), encoding="utf-8")
    for file, picture in zip(files[1:], pictures.values(), strict=True):
        file.write_bytes(picture)
    return files


def page(story: Story, pictures: Mapping[str, bytes]) -> str:
    """The report as HTML, with its pictures (PNG) in it."""
    test = story.windows[-1]
    parts = [
        f'<p class="kicker">{_text(story.about["model_version"])} · tested on {test.rows:,} minutes, '
        f"{test.first[:10]} to {test.until[:10]}, none of which it was trained on</p>",
        f"<h1>{_text(verdict(story))}</h1>",
        f"<p>{_text(covers(story))}</p>",
        f'<div class="tiles">{"".join(_tile(*each) for each in story.metrics.items())}</div>',
        *(_section(*_CAPTIONS[name], _image(name, picture)) for name, picture in pictures.items()),
        _section("Figures", "Skill with its 95 % interval, losses in basis points of the price.", _figures(story)),
        _section("Data", "Parts follow each other in time; the minutes around each cut are left out.", _data(story)),
        _section("Parameters", "What the search chose, and how long each head grew.", _parameters(story)),
    ]
    title = f"Model {story.about['model_version']}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def verdict(story: Story) -> str:
    """One sentence: at which horizons the model is better than every baseline, as far as the test can tell."""
    proven: list[str] = []
    rest: list[str] = []
    for horizon, measured in story.metrics.items():
        better = all(told["crps_skill_low"] > 0 for told in measured["against"].values())
        (proven if better else rest).append(horizon)
    if not rest:
        return f"Better than every baseline at {_listed(proven)} minutes."
    if not proven:
        return f"Not proven better than every baseline at any horizon ({_listed(rest)} minutes)."
    return f"Better than every baseline at {_listed(proven)} minutes; not proven at {_listed(rest)}."


def covers(story: Story) -> str:
    """One sentence: whether the 90 % intervals hold, and where they do not."""
    missed = [
        f"{100 * measured[name]:.1f} % at {horizon} minutes{where}"
        for horizon, measured in story.metrics.items()
        for name, where, span in _COVERAGES
        if not _holds(measured[name], span)
    ]
    whole = len(story.metrics) * len(_COVERAGES)
    if len(missed) > _MOST_NAMED:
        return f"The 90 % intervals do not hold: {len(missed)} of {whole} coverages are out of bounds."
    if missed:
        return f"The 90 % intervals are off in places: they cover {', '.join(missed)}."
    return "The 90 % intervals hold: overall, in the calmest and in the wildest fifth of the minutes."


def _holds(share: float, span: tuple[float, float]) -> bool:
    return span[0] <= share <= span[1]


def _tile(horizon: str, measured: Mapping[str, Any]) -> str:
    kind = "good" if measured["crps_skill_low"] > 0 else "bad"
    covered = [
        (label, _judged(f"{100 * measured[name]:.1f} %", good=_holds(measured[name], span)))
        for label, (name, _, span) in zip(("90 % covers", "… calm", "… wild"), _COVERAGES, strict=True)
    ]
    rows = [
        *covered,
        ("median’s skill", f"{100 * measured['mae_skill']:+.2f} %"),
        ("direction right", f"{100 * measured['direction']:.1f} %"),
    ]
    return (
        f'<div class="tile"><h3>{_text(horizon)} minute{"" if horizon == "1" else "s"} ahead</h3>'
        f'<div class="big {kind}">{100 * measured["crps_skill"]:+.2f} %</div>'
        f'<p class="kicker">{_interval(measured)} against {LABELS[measured["best_baseline"]]}</p>'
        f"<dl>{''.join(f'<dt>{label}</dt><dd>{value}</dd>' for label, value in rows)}</dl></div>"
    )


def _judged(text: str, *, good: bool) -> str:
    return f'<span class="{"good" if good else "bad"}">{text}</span>'


def _figures(story: Story) -> str:
    head = ("horizon", "rows", "loss", *(LABELS[name] for name in BASELINES))
    rows = [
        (
            f"{horizon} min",
            f"{measured['rows']:,}",
            f"{measured['loss_bp']:.3f}",
            *(
                f"{100 * told['crps_skill']:+.2f} % <span class='kicker'>{_interval(told)}</span>"
                for told in (measured["against"][name] for name in BASELINES)
            ),
        )
        for horizon, measured in story.metrics.items()
    ]
    return _table(head, rows)


def _data(story: Story) -> str:
    windows = [(each.use, each.first[:16], each.until[:16], f"{each.rows:,}") for each in story.windows]
    return _table(("used to", "from", "until (UTC)", "minutes"), windows) + _table(
        (),
        [
            (label, f"<code>{_text(story.about[name])}</code>")
            for label, name in (("data, SHA-256", "dataset"), ("code", "code"), ("model", "model_version"))
            if name in story.about
        ]
        + [("repaired", _text(repair)) for repair in story.about.get("repairs", ())],
    )


def _parameters(story: Story) -> str:
    rounds = [
        (f"rounds, {label}", _text(", ".join(f"{number} at {horizon} min" for horizon, number in told.items())))
        for label, name in (("spread", "spread_rounds"), ("quantiles", "rounds"))
        if (told := story.about.get(name))
    ]
    params = [(_text(name), _text(_plain(value))) for name, value in story.about["params"].items()]
    return _table((), [*params, *rounds])


def _section(title: str, note: str, content: str) -> str:
    head = f'<h2>{_text(title)}</h2><p class="note">{_text(note)}</p>'
    return f'<section>{head}<div class="scroll">{content}</div></section>'


def _image(name: str, picture: bytes) -> str:
    return f'<img alt="{_text(_CAPTIONS[name][0])}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML."""
    top = f"<tr>{''.join(f'<th>{_text(cell)}</th>' for cell in head)}</tr>" if head else ""
    return f"<table>{top}{''.join(f'<tr>{_cells(row)}</tr>' for row in rows)}</table>"


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in row)


def _interval(told: Mapping[str, float]) -> str:
    return f"{100 * told['crps_skill_low']:+.2f} … {100 * told['crps_skill_high']:+.2f}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _text(value: object) -> str:
    return escape(str(value))
