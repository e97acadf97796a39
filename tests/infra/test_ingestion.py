"""One task reads the feed: cheap, closed to the world, replaced without a gap."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from btc.feeds.venues import VENUES
from btc.settings import IngestTrades
from tests.infra.assembly import ROOT, Assembly, Json, resolved

COPIED = (
    "functions/fill_history/__main__.py",
    "functions/ingest_trades/__main__.py",
    "functions/ingest_trades/requirements.lock",
    "layers/common/python/btc/trades.py",
)
"""One file from each source that the Dockerfile copies."""


def container(assembly: Assembly) -> Json:
    [only] = assembly.task("ingest_trades")["ContainerDefinitions"]
    properties: Json = only
    return properties


def test_the_task_can_read_the_settings_it_is_given(dev: Assembly) -> None:
    environment = {each["Name"]: resolved(each["Value"]) for each in container(dev)["Environment"]}

    told = IngestTrades.from_env(environment)

    [stream] = dev.of_type("Kinesis::Stream")
    assert told.stream == f"<{stream}>"
    assert [str(market) for market in told.markets] == ["kraken:BTC-USD"]


def egress(assembly: Assembly) -> set[tuple[str, int]]:
    """Protocols and ports that the tasks may reach."""
    rules = [
        rule
        for group in assembly.of_type("EC2::SecurityGroup").values()
        for rule in group["Properties"]["SecurityGroupEgress"]
    ]
    assert all(rule["FromPort"] == rule["ToPort"] for rule in rules)
    return {(rule["IpProtocol"], rule["FromPort"]) for rule in rules}


def test_the_tasks_reach_out_by_https_alone(dev: Assembly) -> None:
    assert egress(dev) == {("tcp", 443)}
    assert not dev.of_type("EC2::SecurityGroupEgress")


def test_no_feed_asks_for_a_port_that_the_tasks_may_not_reach(dev: Assembly) -> None:
    """Each venue's socket and history, by what its code says."""
    ports = {"https": 443, "wss": 443, "http": 80, "ws": 80}
    addresses = {
        module.stem: urlsplit(address)
        for module in (ROOT / "layers" / "common" / "python" / "btc" / "feeds").glob("*.py")
        for address in re.findall(r"(?:URL: Final|url: str) = \"([a-z]+://[^\"]+)\"", module.read_text())
    }

    assert {*addresses} == {"binance_dumps", *VENUES, *(f"{venue}_rest" for venue in VENUES)}
    assert {("tcp", each.port or ports[each.scheme]) for each in addresses.values()} == egress(dev)
    for name, venue in VENUES.items():
        assert addresses[name].geturl() == venue.feed().url, "as the task itself would have it"
        assert addresses[f"{name}_rest"].geturl() == venue.history().url


def test_nothing_is_paid_for_a_way_out(dev: Assembly) -> None:
    network = dev.one("ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]

    assert not dev.of_type("EC2::NatGateway")
    assert not dev.of_type("EC2::EIP")
    assert not dev.of_type("EC2::VPCEndpoint")
    assert network["AssignPublicIp"] == "ENABLED"


def test_nothing_comes_in(dev: Assembly) -> None:
    assert "SecurityGroupIngress" not in dev.one("EC2::SecurityGroup")
    assert not dev.of_type("EC2::SecurityGroupIngress")
    assert "PortMappings" not in container(dev)


def test_one_task_on_spot_arm_is_replaced_before_it_stops_and_rolled_back_when_it_fails(dev: Assembly) -> None:
    service, task = dev.one("ECS::Service"), dev.task("ingest_trades")

    assert service["DesiredCount"] == 1
    assert service["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]
    deployment = service["DeploymentConfiguration"]
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, 200)
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert task["RuntimePlatform"] == {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
    assert container(dev)["ReadonlyRootFilesystem"]


def test_the_service_begins_after_and_goes_before_its_providers_and_its_way_out(dev: Assembly) -> None:
    [service] = dev.of_type("ECS::Service").values()
    [providers] = dev.of_type("ECS::ClusterCapacityProviderAssociations")
    [gateway] = dev.of_type("EC2::VPCGatewayAttachment")
    routes = dev.of_type("EC2::Route")

    assert len(routes) == 2
    assert {providers, *routes} <= {*service["DependsOn"]}, "a subnet is public by its route"
    assert all(gateway in route["DependsOn"] for route in routes.values())
    assert dev.one("ECS::ClusterCapacityProviderAssociations")["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]


def test_the_image_is_made_of_the_task_and_the_domain_alone(tmp_path: Path) -> None:
    from aws_cdk import FileSystem, IgnoreMode  # noqa: PLC0415

    from cdk.ingestion import excluded  # noqa: PLC0415

    foreign = (
        "functions/api/handler.py",
        "layers/xgboost/requirements.in",
        ".venv/lib/x.py",
        ".git/config",
        "README.md",
        "requirements.lock",
    )
    for name in (*COPIED, *foreign):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def fingerprint() -> str:
        return FileSystem.fingerprint(str(tmp_path), exclude=excluded(), ignore_mode=IgnoreMode.DOCKER)

    before = fingerprint()
    for name in foreign:
        (tmp_path / name).write_text("changed")
    assert fingerprint() == before

    for name in COPIED:
        (tmp_path / name).write_text("changed")
        assert fingerprint() != before
        before = fingerprint()


def test_the_image_is_made_of_what_was_locked_and_of_one_base() -> None:
    dockerfile = (ROOT / "functions" / "ingest_trades" / "Dockerfile").read_text()

    [base] = re.findall(r"^ARG BASE=(.+)$", dockerfile, re.MULTILINE)
    assert re.fullmatch(r"python:3\.13\.\d+-slim-trixie@sha256:[0-9a-f]{64}", base)
    assert set(re.findall(r"^FROM (?:--platform=\S+ )?(\S+)", dockerfile, re.MULTILINE)) == {"${BASE}"}
    [installed] = re.findall(r"pip install(?:.*\\\n)*.*", dockerfile)
    assert "--require-hashes --only-binary :all: --requirement requirements.lock" in installed


def test_the_image_is_built_for_arm_by_any_processor_for_no_program_of_its_own_runs_meanwhile() -> None:
    dockerfile = (ROOT / "functions" / "ingest_trades" / "Dockerfile").read_text()
    making, image = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[1:]
    processors = dict(re.findall(r"(\w+)\) processor=(\w+)", making))

    assert making.startswith("--platform=$BUILDPLATFORM ")
    assert processors == {"arm64": "aarch64", "amd64": "x86_64"}
    assert '--platform "manylinux_2_28_${processor}"' in making
    assert "RUN" in making
    assert not re.search(r"^RUN ", image, re.MULTILINE)


def test_the_images_lock_is_a_part_of_the_projects_own_and_names_a_hash_for_all() -> None:
    folder = ROOT / "functions" / "ingest_trades"
    mine, whole = (locked(each / "requirements.lock") for each in (folder, ROOT))
    asked = {line for line in (folder / "requirements.in").read_text().split("\n") if line and not line.startswith("#")}

    assert asked <= {name.partition("==")[0] for name in mine}
    assert all(hashes and hashes <= whole[name] for name, hashes in mine.items()), "write it anew: make lock"


def locked(path: Path) -> dict[str, set[str]]:
    """Hashes by name and version."""
    entries = re.split(r"\n(?=\S)", path.read_text())
    return {
        entry.split(" ", 1)[0]: set(re.findall(r"--hash=(\S+)", entry))
        for entry in entries
        if not entry.startswith("#")
    }


def test_trades_wait_a_day_and_are_encrypted(dev: Assembly) -> None:
    stream = dev.one("Kinesis::Stream")

    assert (stream["ShardCount"], stream["RetentionPeriodHours"]) == (1, 24)
    assert stream["StreamEncryption"]["EncryptionType"] == "KMS"
