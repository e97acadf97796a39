"""Recorded captures as a feed said them: WebSocket frames line by line, or whole REST pages, compressed or not."""

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from btc.feeds.continuity import Continuity
from btc.feeds.feed import Event, Feed, Newest
from btc.feeds.kraken_rest import read_page
from btc.tape import Watermark
from btc.times import minute_of
from btc.trades import Market, Trades

_GZIP: Final = b"\x1f\x8b"


class CaptureError(ValueError):
    """A file that is no capture of this venue's trades."""


def events(feed: Feed, path: Path) -> Iterator[Event]:
    """What a capture says, in its order: frames, `<local time> <frame>` lines, or one page of REST trades.

    Raises CaptureError on a file that cannot be read, or a REST document that is no page of trades; lines that do not
    read are Malformed.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CaptureError(f"{path} cannot be read: {error}") from error
    if _is_rest(data):
        try:
            page = read_page(data)
        except ValueError as error:
            raise CaptureError(f"{path}: {error}") from error
        if page.trades.ids:
            yield page.trades
        return
    for line in data.splitlines():
        frame = line.strip()
        # A recorder's own clock before the frame says nothing about the venue's.
        received, space, rest = frame.partition(b" ")
        if space and received.isdigit():
            frame = rest
        if frame:
            yield from feed.parse(frame)


def entries(feed: Feed, market: Market, paths: Sequence[Path], tally: Counter[str]) -> Iterator[Trades | Watermark]:
    """A market's trades as the captures hold them, each once, and a watermark for each minute that they leave behind.

    The venue's clock is that of its trades: a moment is over once a later trade has come. `tally` counts what the
    captures said by kind (trades, repeats, foreign trades, ignored, malformed, …) and the ids that were missing.
    Raises CaptureError, also where there is no trade of this market.
    """
    continuity = Continuity(market)
    marked = 0
    for event in chain.from_iterable(events(feed, path) for path in paths):
        if isinstance(event, Newest) and event.market == market:
            # What the venue says it has made and the capture does not hold is missing from it.
            continuity.reach(event.last_id)
        if not isinstance(event, Trades):
            tally[type(event).__name__.lower()] += 1
        elif event.market != market:
            tally["foreign"] += len(event)
        else:
            new = continuity.add(event)
            tally["trades"] += len(new)
            tally["repeats"] += len(event) - len(new)
            if new.ids:
                yield new
            over = continuity.time - 1
            if minute_of(over) > marked and (mark := continuity.watermark(over)):
                marked = minute_of(mark.time)
                yield mark
    if not tally["trades"]:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.items()) if count) or "nothing at all"
        raise CaptureError(f"no trade of {market} in {', '.join(map(str, paths))}: found {found}")
    # Nothing more will come: what is missing stays missing, and the bars show it.
    while hole := continuity.skip():
        tally["missing"] += hole[1] - hole[0] + 1
    if mark := continuity.watermark(continuity.time - 1):
        yield mark


def _is_rest(data: bytes) -> bool:
    head = data[:200].replace(b" ", b"").lstrip()
    return head.startswith((b'{"error":[', b'{"result":{'))
