"""One task reads the feed: cheap, closed to the world, replaced without a gap."""

from pathlib import Path

from btc.settings import IngestTrades
from tests.infra.assembly import Assembly, Json, resolved

COPIED = (
    "functions/fill_history/__main__.py",
    "functions/ingest_trades/__main__.py",
    "layers/common/python/btc/trades.py",
    "requirements.lock",
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


def test_the_image_is_made_of_the_task_and_the_domain_alone(tmp_path: Path) -> None:
    from aws_cdk import FileSystem, IgnoreMode  # noqa: PLC0415

    from cdk.ingestion import excluded  # noqa: PLC0415

    foreign = (
        "functions/api/handler.py",
        "layers/xgboost/requirements.in",
        ".venv/lib/x.py",
        ".git/config",
        "README.md",
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


def test_trades_wait_a_day_and_are_encrypted(dev: Assembly) -> None:
    stream = dev.one("Kinesis::Stream")

    assert (stream["ShardCount"], stream["RetentionPeriodHours"]) == (1, 24)
    assert stream["StreamEncryption"]["EncryptionType"] == "KMS"
