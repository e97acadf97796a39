"""The past is filled by the ingest task's own image, run by hand, with rights of its own."""

import json
import subprocess
import sys

from btc.settings import FillHistory
from tests.infra.assembly import ROOT, Assembly, Json, resolved


def container(assembly: Assembly, name: str = "fill_history") -> Json:
    [only] = assembly.task(name)["ContainerDefinitions"]
    properties: Json = only
    return properties


def test_the_task_can_read_the_settings_it_is_given_and_the_output_tells_the_same(dev: Assembly) -> None:
    environment = {each["Name"]: resolved(each["Value"]) for each in container(dev)["Environment"]}

    told = FillHistory.from_env(environment)

    [stream] = dev.of_type("Kinesis::Stream")
    assert told.stream == f"<{stream}>"
    # Half of the one shard is left to live trades.
    assert told.bytes_per_s == 500_000
    output = resolved(dev.template["Outputs"]["FillHistoryEnvironment"]["Value"])
    assert FillHistory.from_env(dict(pair.split("=", 1) for pair in output.split())) == told


def test_both_tasks_are_one_image_which_is_built_once(dev: Assembly) -> None:
    assert container(dev)["Image"] == container(dev, "ingest_trades")["Image"]
    [manifest] = dev.folder.glob("*.assets.json")
    assert len(json.loads(manifest.read_text())["dockerImages"]) == 1


def test_whoever_runs_the_task_gives_the_arguments_alone(dev: Assembly) -> None:
    assert container(dev)["EntryPoint"] == ["python", "-m", "functions.fill_history"]
    assert container(dev)["Command"] == ["--help"]


def test_nothing_runs_until_somebody_wants_it(dev: Assembly) -> None:
    service = dev.one("ECS::Service")

    assert resolved(service["TaskDefinition"]) != resolved(dev.template["Outputs"]["FillHistoryTask"]["Value"])


def test_what_is_downloaded_lies_in_a_volume_of_the_task_over_a_root_that_stays_as_it_is(dev: Assembly) -> None:
    assert container(dev)["ReadonlyRootFilesystem"]
    [volume] = dev.task("fill_history")["Volumes"]
    [mount] = container(dev)["MountPoints"]
    assert (mount["SourceVolume"], mount["ContainerPath"], mount["ReadOnly"]) == (volume["Name"], "/tmp", False)
    assert 'VOLUME ["/tmp"]' in (ROOT / "functions" / "ingest_trades" / "Dockerfile").read_text()


def test_the_task_may_write_what_it_fills_and_its_own_cursors_alone(dev: Assembly) -> None:
    role = resolved(dev.task("fill_history")["TaskRoleArn"]).strip("<>").partition(".")[0]
    statements = [
        resolved(statement)
        for policy in dev.of_type("IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]

    granted = {
        (tuple(sorted(actions(each))), keys(each), "State" in json.dumps(each["Resource"])) for each in statements
    }
    assert granted == {
        (("kinesis:PutRecords",), None, False),
        (("dynamodb:PutItem", "dynamodb:Query"), None, False),
        (("dynamodb:GetItem",), ("history:*", "watermark:*"), True),
        (("dynamodb:PutItem",), ("history:*",), True),
    }


def actions(statement: Json) -> list[str]:
    action: str | list[str] = statement["Action"]
    return [action] if isinstance(action, str) else action


def keys(statement: Json) -> tuple[str, ...] | None:
    """The keys of items that a statement is held to; None for all."""
    if "Condition" not in statement:
        return None
    told = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    return (told,) if isinstance(told, str) else tuple(told)


def test_the_network_it_needs_is_told(dev: Assembly) -> None:
    outputs = {name: resolved(each["Value"]) for name, each in dev.template["Outputs"].items()}

    [cluster], [group] = dev.of_type("ECS::Cluster"), dev.of_type("EC2::SecurityGroup")
    assert outputs["Cluster"] == f"<{cluster}>"
    assert outputs["SecurityGroup"] == f"<{group}.GroupId>"
    assert len(outputs["Subnets"].split(",")) == len(dev.of_type("EC2::Subnet")) == 2


def test_the_command_needs_nothing_that_its_image_lacks() -> None:
    program = """
import sys
import functions.fill_history.__main__
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "pandas", "pyarrow", "rich", "moto"}))
"""
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert loaded.stdout.strip() == ""
