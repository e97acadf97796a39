"""The README's blocks that are generated: the bill, and the runbook, whose words are the alarms' own."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

README = Path(__file__).parents[2] / "README.md"


PRINTED: Final = "yes"
MOVED: Final = "locally"
UNTRIED: Final = "no"
"""How far an alarm's fault was caused: it went off by what the code prints; what AWS would count was moved on the local
stack; or nothing here could cause it. Tests hold that they do what this says.
"""


def tried(alarm: str) -> str:
    if alarm == "ApiThrottled":
        return UNTRIED
    return MOVED if re.search("^Api|^Listeners|Failed$|Undelivered$|(Bars|Trades)Late$", alarm) else PRINTED


def runbook(template: Mapping[str, Any]) -> str:
    """A table of the alarms: what has happened, what to do, and how that was tried."""
    rows = ["| alarm | has happened | do | tried |", "|---|---|---|---|"]
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            happened, _, to_do = resource["Properties"]["AlarmDescription"].partition(": ")
            rows.append(f"| `{called(name)}` | {happened} | {to_do} | {tried(called(name))} |")
    return "\n".join(rows)


def called(logical_id: str) -> str:
    """The alarm without what the CDK puts around its name."""
    return re.sub(r"^Monitoring|[0-9A-F]{8}$", "", logical_id)


def write(*, cost: str, runbook: str) -> None:
    """Puts both where the README has their marks."""
    text = README.read_text()
    for name, block in {"cost": f"```text\n{cost}\n```", "runbook": runbook}.items():
        text = put(text, name, block)
    README.write_text(text)


def put(text: str, name: str, block: str) -> str:
    """`text` with the block between its two marks replaced; raises ValueError where they are missing."""
    pattern = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the README has no marks for {name!r}")
    return pattern.sub(lambda found: f"{found[1]}{block}\n{found[2]}", text)
