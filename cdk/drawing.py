"""Boxes on a grid and the lines between them, as SVG that reads on light and on dark ground."""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

COLUMN: Final = 180
ROW: Final = 98
WIDTH: Final = 146
HEIGHT: Final = 62
MARGIN: Final = 22

STYLE: Final = """
  svg { --ground: #ffffff; --ink: #1c2330; --faint: #5b6575; --line: #6b7688;
        --compute: #fff3e0; --compute-edge: #d9822b; --data: #e6f0fb; --data-edge: #3b7fc4;
        --edge: #eaf6ec; --edge-edge: #3f9151; --outside: #f3f4f6; --outside-edge: #8a93a1; }
  @media (prefers-color-scheme: dark) {
    svg { --ground: #12161d; --ink: #e8ecf2; --faint: #a6b0c0; --line: #8b97aa;
          --compute: #3a2a16; --compute-edge: #e39a4c; --data: #16293d; --data-edge: #5fa0e0;
          --edge: #17301c; --edge-edge: #64b776; --outside: #232833; --outside-edge: #8a93a1; } }
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--faint); text-anchor: middle; }
  text.title { font-weight: 600; font-size: 14px; fill: var(--ink); }
  text.mark { font-size: 10px; font-weight: 700; text-anchor: end; }
  text.key { text-anchor: start; }
  path { fill: none; stroke: var(--line); stroke-width: 1.4; marker-end: url(#head); }
  path.read { stroke-dasharray: 4 4; }
  marker path { fill: var(--line); stroke: none; marker-end: none; }
  rect { stroke-width: 1.4; }
"""


class Box(NamedTuple):
    """One part: where it stands, what it says, first its name, and how it looks."""

    name: str
    column: float
    row: float
    lines: Sequence[str]
    kind: str
    """compute, data, edge or outside."""
    marks: str = ""


class Line(NamedTuple):
    """From one box to another; dashed where the other only asks."""

    start: str
    end: str
    dashed: bool


def svg(boxes: Sequence[Box], lines: Sequence[Line]) -> str:
    """The picture, the same for the same boxes and lines."""
    low = min(box.row for box in boxes)
    centres = {box.name: _centre(box, low) for box in boxes}
    width = max(x for x, _ in centres.values()) + WIDTH / 2 + MARGIN
    height = max(y for _, y in centres.values()) + HEIGHT / 2 + MARGIN + 28
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">',
        "<title>How the parts of Predict Bitcoin Price feed each other</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" rx="8" style="fill: var(--ground)"/>',
        *(_path(centres[line.start], centres[line.end], dashed=line.dashed) for line in lines),
        *(part for box in boxes for part in _box(box, *centres[box.name])),
        f'<text class="key" x="{MARGIN}" y="{height - 18:g}">solid: pushed or written · dashed: read · '
        "S: keeps or reads state · F: what it cannot do lies in failures</text>",
        "</svg>",
    ]
    return "\n".join(drawn) + "\n"


def _centre(box: Box, low: float) -> tuple[float, float]:
    return MARGIN + WIDTH / 2 + box.column * COLUMN, MARGIN + HEIGHT / 2 + (box.row - low) * ROW


def _box(box: Box, x: float, y: float) -> list[str]:
    left, top = x - WIDTH / 2, y - HEIGHT / 2
    look = f"fill: var(--{box.kind}); stroke: var(--{box.kind}-edge)"
    if box.kind == "outside":
        look += "; stroke-dasharray: 5 4"
    first = y + 5 - 8 * (len(box.lines) - 1)
    texts = [
        f'<text class="{"detail" if row else "title"}" x="{x:g}" y="{first + 16 * row:g}">{escape(line)}</text>'
        for row, line in enumerate(box.lines)
    ]
    if box.marks:
        texts.append(f'<text class="mark" x="{left + WIDTH - 5:g}" y="{top + 12:g}">{box.marks}</text>')
    return [f'<rect x="{left:g}" y="{top:g}" width="{WIDTH}" height="{HEIGHT}" rx="7" style="{look}"/>', *texts]


def _path(start: tuple[float, float], end: tuple[float, float], *, dashed: bool) -> str:
    """From the nearer side of one box to the nearer side of the other; below those that stand between them."""
    (x0, y0), (x1, y1) = start, end
    down, right = (1 if y1 > y0 else -1), (1 if x1 > x0 else -1)
    if abs(x1 - x0) < COLUMN / 2:
        y0, y1 = y0 + down * HEIGHT / 2, y1 - down * HEIGHT / 2
        middle = (y0 + y1) / 2
        route = f"M{x0:g} {y0:g} C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {y1:g}"
    elif y0 == y1 and abs(x1 - x0) > 1.5 * COLUMN:
        edge, lane, turn = y0 + HEIGHT / 2, y0 + ROW / 2, right * 20
        route = (
            f"M{x0:g} {edge:g} Q{x0:g} {lane:g} {x0 + turn:g} {lane:g} H{x1 - turn:g} Q{x1:g} {lane:g} {x1:g} {edge:g}"
        )
    else:
        x0, x1 = x0 + right * WIDTH / 2, x1 - right * WIDTH / 2
        middle = (x0 + x1) / 2
        route = f"M{x0:g} {y0:g} C{middle:g} {y0:g} {middle:g} {y1:g} {x1:g} {y1:g}"
    return f'<path class="{"read" if dashed else "write"}" d="{route}"/>'
