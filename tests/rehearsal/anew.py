"""Production that goes and is deployed anew: what it keeps, and how the new stack comes to it."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Final

from local.screen import Screen
from tests.rehearsal.apart import Json
from tests.rehearsal.app import PRODUCTION, rewrite
from tests.rehearsal.deployment import Deployment
from tests.rehearsal.emulator import ROOT, Emulator, RehearsalError
from tests.rehearsal.inventory import inventory
from tests.rehearsal.trip import MARKET, Trip

KEPT: Final = ("BarsTable", "StateTable", "ForecastsTable", "ScoresTable", "LakeBucket", "ModelsBucket")
"""Outputs that name what outlives its stack."""


def rehearse_anew(emulator: Emulator, screen: Screen) -> None:
    """Raises RehearsalError at the first thing that is lost."""
    production, step = Deployment(emulator, PRODUCTION), screen.phase
    with step("cdk deploy, production") as phase:
        old = production.deploy(*production.synthesised)
        phase.tell(production.count())
    trip = Trip(emulator, old, time.time_ns() // 1000)
    with step("its trades, bars and objects") as phase:
        trip.send()
        phase.tell(f"{trip.expect_bars()}; {trip.expect_objects()}")
    with step("cdk destroy, production") as phase:
        production.destroy()
        phase.tell(_kept(emulator, old))
    with step("cdk deploy, production anew") as phase:
        rewrite(production.assembly, _renamed)
        new = production.deploy(*production.as_it_is)
        phase.tell(f"{production.count().partition(';')[0]}, {_beside(old, new)}")
    with step("the old data comes in") as phase:
        copied = _copy(emulator, old["LakeBucket"], new["LakeBucket"])
        into = ("--stack", production.stack)
        market = ("--market", str(MARKET), "--from", trip.first_day)
        bars = _restored(emulator, "bars", *into, *market)
        copy = ("--table", "forecasts", "--copy", old["ForecastsTable"])
        forecasts = _restored(emulator, "items", *into, *copy)
        phase.tell(f"{copied} objects; {bars}; {forecasts}")
    with step("old bars over the new API") as phase:
        phase.tell(trip.elsewhere(new).expect_bars())


def _renamed(template: Json) -> Json:
    """AWS ends a table's name by chance; the emulator makes it of the logical id alone, and would take the old one."""
    text = json.dumps(template)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::DynamoDB::Table":
            text = text.replace(f'"{name}"', f'"{name}Anew"')
    renamed: Json = json.loads(text)
    return renamed


def _kept(emulator: Emulator, outputs: Mapping[str, str]) -> str:
    there = {name.partition(": ")[2] for name in inventory(emulator)}
    if lost := [name for name in KEPT if outputs[name] not in there]:
        raise RehearsalError(f"production's {', '.join(lost)} went with the stack")
    return f"{len(KEPT)} tables and buckets with data are kept"


def _beside(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    if same := [name for name in KEPT if old[name] == new[name]]:
        raise RehearsalError(f"the new stack has the old one's {', '.join(same)}")
    return "beside what was kept"


def _copy(emulator: Emulator, old: str, new: str) -> int:
    """What `aws s3 sync` does."""
    s3 = emulator.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=old)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    for key in keys:
        s3.copy_object(Bucket=new, Key=key, CopySource={"Bucket": old, "Key": key})
    return len(keys)


def _restored(emulator: Emulator, *arguments: str) -> str:
    """What `functions.restore` says last."""
    command = [sys.executable, "-m", "functions.restore", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=emulator.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RehearsalError(f"restore {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return done.stdout.splitlines()[-1]
