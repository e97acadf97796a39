"""`make cost`: the monthly bill of the synthesised template under a load, by resource, beside a usual design's.

python -m cdk.costs --trades-per-s 10 --symbols 3    as a table
python -m cdk.costs --json                           {"total": …, "spot_total": …, "list_total": …, …, "rows": […]}
python -m cdk.costs --readme                         writes the README's blocks anew
"""

import argparse
import io
import json
import sys
from collections import defaultdict
from dataclasses import replace
from typing import Final

from rich.console import Console
from rich.table import Table

from cdk.costs import readme, stages
from cdk.costs.bills import Bill
from cdk.costs.loads import Load
from cdk.costs.pricers import UnpricedError
from cdk.costs.prices import ALLOWANCES, PRICES
from cdk.costs.rivals import on_kafka
from cdk.costs.rows import Row
from cdk.settings import Stage, stage_named

SMALL = 0.005
"""Dollars a month below which a resource is told among the others."""
SHARED: Final = "a second stage in the account shares what is always free"


def options() -> argparse.Namespace:
    usual = Load()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", type=stage_named, default="dev")
    parser.add_argument("--trades-per-s", type=float, default=usual.trades_per_s, help="of each symbol")
    parser.add_argument("--symbols", type=int, default=usual.symbols)
    parser.add_argument("--listeners", type=int, default=usual.listeners, help="connected all month")
    parser.add_argument("--api-calls", type=int, default=usual.api_calls, help="a month")
    parser.add_argument("--retrainings", type=float, default=usual.retrainings, help="a month")
    parser.add_argument("--json", action="store_true", help="one object, for a machine")
    parser.add_argument("--readme", action="store_true", help="write the README's blocks")
    return parser.parse_args()


def main() -> int:
    """The command line; exits 1 where the template has something that nobody has named a price for."""
    told = options()
    load = Load(
        trades_per_s=told.trades_per_s,
        symbols=told.symbols,
        api_calls=told.api_calls,
        listeners=told.listeners,
        retrainings=told.retrainings,
    )
    try:
        bill = stages.bill(told.stage, load)
        if told.json:
            print(json.dumps(document(bill)))
        elif told.readme:
            readme.write(cost=rendered(*tables(bill, told.stage)), runbook=readme.runbook(bill.template))
        else:
            print(rendered(*tables(bill, told.stage), prices([*bill.rows, *on_kafka(bill)])))
    except UnpricedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def document(bill: Bill) -> dict[str, object]:
    """What a machine is told: `total` is the bill, `list_total` what it is without an account's allowances."""
    spot = replace(bill, spot=True)
    return {
        "total": bill.total,
        "spot_total": spot.total,
        "list_total": bill.list_total,
        "list_spot_total": spot.list_total,
        "rows": [row.to_dict() for row in bill.rows],
    }


def tables(bill: Bill, stage: Stage) -> tuple[Table, ...]:
    """The bill, what it is beside another design's, and how it grows."""
    return by_resource(bill), beside(bill, on_kafka(bill)), growth(bill, stage), settings(bill, stage)


def rendered(*tables: Table) -> str:
    written = io.StringIO()
    Console(file=written, width=118, color_system=None).print(*tables, sep="")
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def by_resource(bill: Bill) -> Table:
    load = bill.load
    table = Table(
        "resource",
        "for",
        "$ a month",
        title=f"us-east-1, {load.symbols} symbol, {load.trades_per_s:g} trade/s each, {load.api_calls:,} API calls, "
        f"{load.listeners} listener, {load.retrainings:.2f} retrainings a month",
    )
    table.columns[2].justify = "right"
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in bill.listed:
        groups["the alarms" if row.price == "alarm" else row.resource].append(row)
    sums = {name: sum(row.usd for row in rows) for name, rows in groups.items()}
    for name in sorted(sums, key=lambda name: -sums[name]):
        if sums[name] >= SMALL:
            table.add_row(name, items(groups[name]), f"{sums[name]:.2f}")
    table.add_row("all others", "", f"{sum(usd for usd in sums.values() if usd < SMALL):.2f}", end_section=True)
    free = [row for row in bill.rows if row.free]
    table.add_row("at list prices", "", f"{bill.list_total:.2f}")
    table.add_row("always free", free_items(free), f"{sum(row.usd for row in free):.2f}", end_section=True)
    table.add_row("total, On-Demand", SHARED, f"{bill.total:.2f}")
    table.add_row("total, the ingest task on Spot", "", f"{replace(bill, spot=True).total:.2f}")
    return table


def free_items(rows: list[Row]) -> str:
    """What AWS gives each account, in words shorter than the prices'."""
    large = [row for row in sorted(rows, key=lambda row: row.usd) if row.usd <= -SMALL]
    return ", ".join(f"{ALLOWANCES[row.price].words} {row.usd:.2f}" for row in large)


def items(rows: list[Row]) -> str:
    """What is worth a cent of a resource's rows, the dearest first."""
    if rows[0].price == "alarm":
        return f"{sum(row.quantity for row in rows):g} metrics watched"
    large = [row for row in sorted(rows, key=lambda row: -row.usd) if row.usd >= SMALL] or rows[:1]
    return ", ".join(f"{row.item} {row.usd:.2f}" for row in large)


def beside(bill: Bill, rival: list[Row]) -> Table:
    table = Table("design", "$ a month", title="The same system as it is usually built", title_justify="left")
    table.columns[1].justify = "right"
    table.add_row("this one", f"{bill.total:.2f}")
    whole = sum(row.usd for row in rival)
    table.add_row("MSK (2 × kafka.t3.small), endpoint (ml.t3.medium), NAT gateway", f"{whole:.2f}")
    return table


def growth(bill: Bill, stage: Stage) -> Table:
    table = Table("load", "shards", "task", "$ a month", "too slow", title="How it grows", title_justify="left")
    for name, grown in stages.grown(stage, bill.load):
        needs = f"{grown.load.task_cpu / 1024:g} vCPU, {max(512, 2 * grown.load.task_cpu)} MB"
        table.add_row(name, str(grown.load.shards), needs, f"{grown.total:,.2f}", ", ".join(grown.too_slow) or "–")
    return table


def settings(bill: Bill, stage: Stage) -> Table:
    table = Table("setting", "adds $ a month", title="What a setting adds", title_justify="left")
    table.columns[1].justify = "right"
    spot = replace(bill, spot=True).total - bill.total
    table.add_row("spot=True", f"{spot:+.2f}")
    for name, changed in stages.settings(stage, bill.load):
        priced = replace(changed, spot=changed.load.senders > 1)
        table.add_row(name, f"{priced.total - bill.total:+.2f}")
    return table


def prices(rows: list[Row]) -> Table:
    """Where each price and each allowance was read, and when."""
    table = Table("price", "$", "read in", "where", title="Prices", title_justify="left")
    for name in sorted({row.price for row in rows if not row.free}, key=lambda name: PRICES[name].unit):
        price = PRICES[name]
        shown = f"{price.usd * 1e6:g} a million" if price.usd < 0.0001 else f"{price.usd:g}"
        table.add_row(price.unit, shown, price.source.read or "NOT READ", price.source.page.split("/")[0])
    for name in sorted({row.price for row in rows if row.free}):
        _, words, source = ALLOWANCES[name]
        table.add_row(f"always free: {words}", "", source.read or "NOT READ", source.page.split("/")[0])
    return table


if __name__ == "__main__":
    sys.exit(main())
