"""The bill: nothing in the template without a price or a reason, sums that add up, and a bill that follows the load."""

import json
import runpy
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from btc.aws import streams
from cdk.costs import loads, readme
from cdk.costs.bills import Bill
from cdk.costs.free import FREE
from cdk.costs.loads import MINUTES, SECONDS, Load, traced
from cdk.costs.pricers import UnpricedError
from cdk.costs.prices import ALLOWANCES, PRICES
from cdk.costs.rivals import on_kafka
from cdk.settings import DEV
from tests.infra.assembly import Assembly, Json


@pytest.fixture(scope="session")
def bill(dev: Assembly) -> Bill:
    return Bill(dev.template, Load())


def changed(bill: Bill, kind: str, **properties: Any) -> Bill:
    """The bill of the template with these properties of every resource of that type."""
    resources = {
        name: {**each, "Properties": {**each["Properties"], **properties}} if each["Type"] == f"AWS::{kind}" else each
        for name, each in bill.template["Resources"].items()
    }
    return replace(bill, template={**bill.template, "Resources": resources})


def with_one_more(bill: Bill, name: str, resource: Json) -> Bill:
    return replace(bill, template={"Resources": {**bill.template["Resources"], name: resource}})


def test_every_type_of_every_stage_is_priced_or_free_with_a_reason(dev: Assembly, prod: Assembly) -> None:
    for assembly in (dev, prod):
        assert Bill(assembly.template, Load()).total > 0
    assert all(FREE.values())


@pytest.mark.parametrize("kind", ["AWS::MSK::Cluster", "AWS::EC2::NatGateway", "AWS::SageMaker::Endpoint"])
def test_a_type_that_nobody_priced_fails_by_its_name(kind: str, bill: Bill) -> None:
    with pytest.raises(UnpricedError, match=f"{kind} costs: give it a price in cdk/costs/pricers.py"):
        _ = with_one_more(bill, "Planted", {"Type": kind, "Properties": {}}).total


def test_a_function_whose_calls_nobody_counts_fails_by_its_name(bill: Bill) -> None:
    variables = {"POWERTOOLS_SERVICE_NAME": "mine_bitcoin"}
    planted = {"Type": "AWS::Lambda::Function", "Properties": {"Environment": {"Variables": variables}}}

    with pytest.raises(UnpricedError, match="how often mine_bitcoin runs"):
        _ = with_one_more(bill, "Planted", planted).total


def test_the_rows_come_to_the_total_and_none_is_negative(bill: Bill) -> None:
    assert bill.total == pytest.approx(sum(row.quantity * PRICES[row.price].usd * row.share for row in bill.rows))
    assert bill.list_total == pytest.approx(sum(row.usd for row in bill.listed))
    assert all(row.usd >= 0 for row in bill.listed)


def test_what_is_always_free_is_taken_off_as_far_as_it_is_used(bill: Bill) -> None:
    for used in (bill, replace(bill, load=replace(bill.load, symbols=40, api_calls=3_000_000))):
        for price, allowance in ALLOWANCES.items():
            listed = sum(row.quantity for row in used.listed if row.price == price)
            free = [row for row in used.rows if row.price == price and row.free]

            assert -sum(row.quantity for row in free) == min(listed, allowance.quantity)
            assert all(row.usd <= 0 and row.to_dict()["source"] == allowance.source.page for row in free)


def test_what_ends_after_an_accounts_first_year_is_not_taken_off(bill: Bill) -> None:
    assert not {"api_call", "s3_gb", "s3_put", "read", "write", "shard", "vcpu"} & {
        row.price for row in bill.rows if row.free
    }


def test_the_usual_load_costs_what_was_asked_for(bill: Bill) -> None:
    assert bill.total <= 25
    assert replace(bill, spot=True).total <= 20


def test_what_is_paid_by_the_hour_is_what_the_template_declares(bill: Bill, dev: Assembly) -> None:
    by_price = {row.price: row for row in bill.listed}
    alarms = [row for row in bill.listed if row.price == "alarm"]

    assert by_price["shard"].quantity == 730
    assert by_price["vcpu"].usd + by_price["fargate_gb"].usd == pytest.approx(730 * (0.25 * 0.03238 + 0.5 * 0.00356))
    assert by_price["ipv4"].usd == pytest.approx(3.65)
    assert sum(row.quantity for row in alarms) == len(dev.of_type("CloudWatch::Alarm"))
    assert changed(bill, "Kinesis::Stream", ShardCount=3).total - bill.total == pytest.approx(2 * 730 * 0.015)


def test_spot_takes_seventy_percent_off_the_task_and_nothing_else(bill: Bill) -> None:
    fargate = sum(row.usd for row in bill.rows if row.price in ("vcpu", "fargate_gb"))

    assert bill.total - replace(bill, spot=True).total == pytest.approx(0.7 * fargate)


LOADS: tuple[Mapping[str, Any], ...] = (
    {"trades_per_s": 10.0},
    {"symbols": 2},
    {"api_calls": 200_000},
    {"listeners": 2},
    {"retrainings": 30.0},
)


@pytest.mark.parametrize("more", LOADS, ids=lambda more: next(iter(more)))
def test_the_bill_rises_with_each_part_of_the_load(more: Mapping[str, Any], bill: Bill) -> None:
    assert replace(bill, load=replace(bill.load, **more)).total > bill.total


def test_traces_cost_by_the_invocation_and_those_beyond_one_a_second_a_twentieth(bill: Bill) -> None:
    traced_bill = changed(bill, "Lambda::Function", TracingConfig={"Mode": "Active"})
    rows = {row.resource: row.quantity for row in traced_bill.rows if row.item == "traces"}

    assert not [row for row in bill.rows if row.item == "traces"]
    assert rows["ApiFunction"] == bill.load.api_calls
    assert traced_bill.list_total - bill.list_total == pytest.approx(5e-6 * sum(rows.values()))
    assert (traced(SECONDS), traced(3 * SECONDS)) == (SECONDS, SECONDS + 2 * SECONDS / 20)


def test_a_training_is_billed_for_all_the_time_that_its_pipeline_lets_it_search(bill: Bill) -> None:
    rows = {row.item: row for row in bill.listed if row.type == "AWS::SageMaker::Pipeline"}
    longer = with_setting(hyperparameters=(("train-seconds", "5400"),))

    assert rows["training"].quantity == pytest.approx(bill.load.retrainings * 0.75)
    assert rows["training"].usd == pytest.approx(0.3 * 0.23 * rows["training"].quantity)
    assert longer.total - bill.total == pytest.approx(bill.load.retrainings * 0.3 * 0.23)
    assert rows["snapshot and gate"].usd == pytest.approx(bill.load.retrainings * 2 / 12 * 0.05)


def test_an_instance_without_a_price_fails_by_its_name() -> None:
    with pytest.raises(UnpricedError, match=r"runs on ml\.m7i\.large"):
        _ = with_setting(training_instance="ml.m7i.large").total


def with_setting(**changed: Any) -> Bill:
    from cdk.costs import stages  # noqa: PLC0415 - the CDK with it

    return stages.bill(replace(DEV, **changed), Load())


def of_price(bill: Bill, *prices: str) -> float:
    return sum(row.usd for row in bill.listed if row.price in prices)


def test_every_switch_of_a_stage_is_listed_among_what_settings_add() -> None:
    from cdk.costs import stages  # noqa: PLC0415

    switches = {name for name, value in vars(DEV).items() if isinstance(value, bool)}
    listed = {name for _, changed in stages.SETTINGS for name in changed}
    elsewhere = {"emulated": "never deployed", "mlflow": "priced at nothing, see FREE", "dashboard": "always free"}

    assert switches - set(elsewhere) <= listed


def test_the_firewall_costs_its_rules_and_each_request(bill: Bill) -> None:
    assert with_setting(firewall=True).total - bill.total == pytest.approx(5 + 4 + 0.6e-6 * bill.load.api_calls)


def test_a_snapshot_costs_its_keeping_and_each_start_and_other_versions_nothing(bill: Bill) -> None:
    changed_bill = with_setting(snap_start=True)
    kept = 0.5 * SECONDS * 0.0000015046

    assert changed_bill.total - bill.total == pytest.approx(kept + 0.5 * loads.STARTS * 0.0001397998)
    assert changed(changed_bill, "Lambda::Function", MemorySize=1024).total > changed_bill.total


def test_a_task_beside_the_one_on_spot_is_paid_in_full_and_what_it_sends_too(bill: Bill) -> None:
    both = with_setting(spot=True, on_demand_fallback=True)
    task = of_price(bill, "vcpu", "fargate_gb")

    assert of_price(both, "vcpu", "fargate_gb") == pytest.approx(2 * task)
    assert of_price(replace(both, spot=True), "vcpu", "fargate_gb") == pytest.approx(1.3 * task)
    assert of_price(both, "ipv4", "put") == pytest.approx(2 * of_price(bill, "ipv4", "put"))
    assert of_price(both, "write") == pytest.approx(of_price(bill, "write")), "what both send is written once"
    assert of_price(both, "read") > of_price(bill, "read")


def test_what_production_writes_over_is_paid_for_until_it_is_deleted(bill: Bill) -> None:
    kept = with_setting(keep_data=True)
    [row] = [row for row in kept.listed if row.item == "old versions"]
    half_days = sum(288 * size / 2 for size in loads.DAY_BYTES.values())  # each five minutes

    assert row.quantity == pytest.approx(14 * half_days / 1e9, rel=0.01)
    assert not [row for row in bill.listed if row.item == "old versions"]
    with pytest.raises(UnpricedError, match=r"give them an end in cdk/lake\.py"):
        _ = changed(kept, "S3::Bucket", LifecycleConfiguration={"Rules": []}).total


def test_an_own_key_costs_a_dollar_and_the_requests_for_each_tables_key(bill: Bill) -> None:
    own = with_setting(own_key=True)
    tables = [row for row in own.listed if row.item == "data keys" and row.type == "AWS::DynamoDB::Table"]

    assert {row.resource for row in tables} == {row.resource for row in own.listed if row.item == "stored"}
    assert all(row.quantity >= MINUTES / 5 for row in tables)
    assert own.list_total - bill.list_total == pytest.approx(1 + sum(row.usd for row in tables))


def test_ten_times_the_trades_cost_far_less_than_ten_times(bill: Bill) -> None:
    busy = replace(bill, load=replace(bill.load, trades_per_s=10.0))

    assert busy.total < 1.1 * bill.total, "trades share records, deliveries and writes"


def test_shards_and_the_task_grow_where_the_load_asks_for_it() -> None:
    needs = [(load.shards, load.task_cpu) for load in (Load(), Load(trades_per_s=10_000))]
    crowd = Load(trades_per_s=10_000, symbols=100)

    assert needs == [(1, 256), (1, 256)]
    assert crowd.shards * 1_000_000 > 1_000_000 * 9
    assert crowd.task_cpu == 4096


def test_the_load_is_of_the_stage_and_of_the_streams_own_limit() -> None:
    """How long trades are gathered, and how much of them is enough."""
    assert Load().batch_s == DEV.batch_ms / 1000
    assert loads.FULL_BYTES == streams.FULL_BYTES


def test_trades_that_are_gathered_longer_cost_less_and_a_minutes_end_is_paid_for(bill: Bill) -> None:
    totals = [replace(bill, load=replace(bill.load, batch_s=seconds)).total for seconds in (0.25, 1, 5, 30)]

    assert totals == sorted(totals, reverse=True)
    assert replace(bill, load=replace(bill.load, batch_s=59)).works["aggregate_bars"].invocations >= 2 * MINUTES


def test_longer_waits_cost_less(bill: Bill) -> None:
    totals = [
        changed(bill, "Lambda::EventSourceMapping", MaximumBatchingWindowInSeconds=seconds).total
        for seconds in (1, 5, 30, 300)
    ]

    assert totals == sorted(totals, reverse=True)


def test_functions_that_a_load_overwhelms_are_named(bill: Bill) -> None:
    assert bill.too_slow == []
    assert replace(bill, load=replace(bill.load, symbols=1000)).too_slow


def test_the_usual_design_costs_several_times_as_much(bill: Bill) -> None:
    rows = on_kafka(bill)

    assert sum(row.usd for row in rows) > 3 * bill.total
    assert {"msk_broker", "ml.t3.medium", "nat"} <= {row.price for row in rows}
    assert not {"shard", "put"} & {row.price for row in rows}


def test_a_price_tells_where_and_when_it_was_read_or_that_it_was_not(bill: Bill) -> None:
    assert all(price.source.page for price in PRICES.values())
    assert all(allowance.source.page for allowance in ALLOWANCES.values())
    assert sum(abs(row.usd) for row in bill.rows if not row.source.read) < 0.01 * bill.total


def test_a_machine_is_told_one_object(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["cdk.costs", "--json", "--api-calls", "0"])
    monkeypatch.delitem(sys.modules, "cdk.costs.__main__", raising=False)
    with pytest.raises(SystemExit) as end:
        runpy.run_module("cdk.costs", run_name="__main__")
    told = json.loads(capfd.readouterr().out)

    assert end.value.code == 0
    assert set(told) == {"total", "spot_total", "list_total", "list_spot_total", "rows"}
    assert told["list_total"] == pytest.approx(sum(row["usd"] for row in told["rows"] if row["usd"] > 0))
    assert told["list_total"] - told["list_spot_total"] == pytest.approx(told["total"] - told["spot_total"])
    assert told["spot_total"] < told["total"] == pytest.approx(sum(row["usd"] for row in told["rows"]))
    assert all(row["usd"] == pytest.approx(row["quantity"] * row["price_usd"] * row["share"]) for row in told["rows"])
    assert not [row for row in told["rows"] if row["price"] == "api_call" and row["usd"]]


def test_the_readme_shows_the_bill_and_the_runbook_of_this_template(bill: Bill) -> None:
    from cdk.costs.__main__ import by_resource, rendered  # noqa: PLC0415 - the tables' library with it

    text = readme.README.read_text()

    assert readme.runbook(bill.template) in text, "write it anew: python -m cdk.costs --readme"
    assert rendered(by_resource(bill)) in text, "write it anew: python -m cdk.costs --readme"
