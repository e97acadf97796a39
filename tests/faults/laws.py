"""What must hold once all is quiet, judged from the tape and from what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from btc import ranges, tape
from btc.aws.tables import bar_of
from btc.bars import Bar
from btc.tape import UnreadableError, Watermark
from btc.times import MINUTE, iso, minute_of
from btc.trades import Market, Trade
from tests.faults.stores import Shard, Tables
from tests.faults.tapes import expected_bars

Tapes = Mapping[Market, Sequence[Trade]]


@dataclass(slots=True)
class Verdict:
    """`lost` and `twice` count trades (and poison records), `unproven` bars and claims; `notes` say which."""

    lost: int = 0
    twice: int = 0
    unproven: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.twice or self.unproven)


def stored_bars(tables: Tables, market: Market) -> dict[int, Bar]:
    bars = [bar_of(item) for (name, _), item in tables.items["bars"].items() if name == str(market)]
    return {bar.start: bar for bar in bars}


def held(tables: Tables, market: Market) -> ranges.Ranges:
    """The ids that all bars of the market hold."""
    return ranges.union(*(bar.ranges for bar in stored_bars(tables, market).values()))


def judge_bars(trades: Sequence[Trade], stored: Mapping[int, Bar], until: int, verdict: Verdict) -> None:
    """Until `until` (µs) bars equal the tape's, all closed and proven; nothing joins the first minute on its left."""
    expected = expected_bars(trades, until)
    for start, wanted in expected.items():
        _judge_bar(stored.get(start), start, wanted, trades, verdict, first=start == min(expected))
    for start in stored.keys() - expected.keys():
        if start < until:
            verdict.unproven += 1
            verdict.notes.append(f"{iso(start)}: a bar of nothing")


def _judge_bar(
    bar: Bar | None, start: int, wanted: Mapping[str, object], trades: Sequence[Trade], verdict: Verdict, *, first: bool
) -> None:
    made = {trade.trade_id for trade in trades if start <= trade.time < start + MINUTE}
    counted = {identity for low, high in (bar.ranges if bar else ()) for identity in range(low, high + 1)}
    lost, twice = len(made - counted), max((bar.trade_count if bar else 0) - len(counted & made), 0)
    # Fewer trades counted than the ids tell: the ids claim trades that are not in the sums.
    lost += max(len(counted) - bar.trade_count, 0) if bar else 0
    verdict.lost += lost
    verdict.twice += twice
    different = {name: getattr(bar, name, None) for name in wanted if getattr(bar, name, None) != wanted[name]}
    proven = bar is not None and (bar.complete or first)
    if not proven or different:
        verdict.unproven += 1
    if lost or twice or different or not proven:
        verdict.notes.append(f"{iso(start)}: lost {lost}, twice {twice}, {different} instead of {dict(wanted)}")


def judge_claims(tapes: Tapes, shard: Shard, loaded: Mapping[Market, ranges.Ranges], verdict: Verdict) -> None:
    """Each watermark in the stream follows all trades up to the one it names, and names all that its minutes had.

    What was loaded beside the stream need not be in it.
    """
    before = dict(loaded)
    for number, (_, data) in enumerate(shard.records):
        try:
            entry = tape.decode(data)
        except UnreadableError:
            continue
        if isinstance(entry, Watermark):
            judge_claim(entry, tapes[entry.market], before.get(entry.market, ()), f"record {number}", verdict)
        else:
            before[entry.market] = ranges.union(before.get(entry.market, ()), ranges.runs(entry.in_order().ids))


def judge_claim(mark: Watermark, trades: Sequence[Trade], there: ranges.Ranges, where: str, verdict: Verdict) -> None:
    first = trades[0].trade_id
    behind = mark.last_id >= first and not any(low <= first and mark.last_id <= high for low, high in there)
    beyond = [trade for trade in trades if trade.trade_id > mark.last_id and trade.time < minute_of(mark.time)]
    if behind:
        verdict.unproven += 1
        verdict.notes.append(f"{where}: claims up to {mark.last_id}, but there were only {there} from {first} on")
    if beyond:
        verdict.unproven += 1
        verdict.notes.append(f"{where}: alive up to {iso(mark.time)} with {mark.last_id}, not knowing of {beyond[0]}")


def judge_stored_claim(mark: Watermark, tapes: Tapes, tables: Tables, verdict: Verdict) -> None:
    """A watermark that is stored follows the trades it tells of into the bars."""
    judge_claim(mark, tapes[mark.market], held(tables, mark.market), "state", verdict)


def judge_proof(bar: Bar, wanted: Mapping[str, object] | None, verdict: Verdict) -> None:
    """A bar that says complete holds, at that very moment, all its minute ever will."""
    told = {name: getattr(bar, name) for name in ("ranges", "trade_count", "volume", "turnover")}
    if bar.complete and (wanted is None or any(wanted[name] != told[name] for name in told)):
        verdict.unproven += 1
        verdict.notes.append(f"{iso(bar.start)}: called complete with {told}, not {wanted}")


def judge_poison(poison: Sequence[bytes], given_up: Sequence[bytes], verdict: Verdict) -> None:
    """Poison is at the on-failure destination whole, and nothing else is."""
    missing = [record for record in poison if record not in given_up]
    good = [record for record in given_up if record not in poison]
    verdict.lost += len(missing) + len(good)
    if missing or good:
        verdict.notes.append(f"poison that vanished: {len(missing)}; good records given up: {len(good)}")
