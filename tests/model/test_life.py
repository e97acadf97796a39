"""A model's life through the pipeline, the registry and the functions: weighed, promoted, refused, rolled back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.models import NotPromotableError
from btc.aws.state import StateTable
from btc.aws.tables import bar_item
from btc.forecasts import HORIZONS
from btc.klines import kline
from btc.minutes import Minutes
from btc.models import ModelError
from btc.serving import REACH
from btc.settings import Forecast, PromoteModel
from btc.times import MINUTE, SECOND
from btc.units import UNIT
from local.jobs import Machine
from local.pipeline import Execution, start
from local.streams import Emulator
from tests.model.conftest import Run
from tests.model.walks import beat, save
from tests.unit.aws import CONTEXT, load
from tests.unit.market import BTC
from training import pipeline
from training.mlflow_runs import EXPERIMENT

pytestmark = pytest.mark.timeout(900)
LENGTH = 10_000
MARKET = beat(LENGTH)


class Life(NamedTuple):
    """The account of these tests, and what has been registered in it."""

    emulator: Emulator
    promote: Any
    forecast: Any
    packages: dict[str, str]
    """ARNs by name."""
    decisions: dict[str, dict[str, Any]]
    executions: dict[str, Execution]

    def champion(self) -> str:
        champion = StateTable("state", self.emulator.client("dynamodb")).champion()
        return champion.package if champion else "none"

    def number(self, name: str) -> str:
        """The registry's version of a package."""
        return "/".join(self.packages[name].split("/")[-2:])

    def approve(self, name: str) -> None:
        """As a person does it, and as EventBridge then tells."""
        arn = self.packages[name]
        self.emulator.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
        self.told(name)

    def told(self, name: str) -> None:
        event = {"time": "2026-11-24T10:41:04Z", "detail": {"ModelPackageArn": self.packages[name]}}
        self.promote.handler(event, CONTEXT)


@pytest.fixture(scope="module")
def life(emulator: Emulator, run: Run, bundle: bytes, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A champion that knows nothing of this market; then a challenger that does, and one that learnt its contrary."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": emulator.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": emulator.region,
            "POWERTOOLS_METRICS_NAMESPACE": "Test",
            "POWERTOOLS_SERVICE_NAME": "test",
        }.items():
            patch.setenv(name, value)
        for make in (clients.dynamodb, clients.s3, clients.sagemaker):
            make.cache_clear()
        emulator.client("s3").put_object(Bucket="models", Key="code/0123abcd.gz", Body=bundle)
        settings = Forecast(
            bars_table="bars",
            forecasts_table="forecasts",
            state_table="state",
            retention_days=30,
            max_bar_age_s=600,
            max_model_age_days=30,
        )
        promote = load("promote_model", PromoteModel(state_table="state", model_package_group="bitcoin"))
        alive = Life(emulator, promote, load("forecast", settings), {}, {}, {})
        emulator.client("s3").upload_file(str(run.archive), "models", "first/model.tar.gz")
        alive.packages["stranger"] = registered(emulator, "s3://models/first/model.tar.gz")
        alive.told("stranger")
        for name, minutes in (("better", MARKET), ("worse", beat(LENGTH, turned=LENGTH - 1_900))):
            folder = tmp_path_factory.mktemp(name)
            tracked = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"} if name == "better" else {}
            trained(alive, name, minutes, folder, tracked)
            if alive.decisions[name]["status"] == "Approved":
                alive.told(name)
        yield alive
        for make in (clients.dynamodb, clients.s3, clients.sagemaker):
            make.cache_clear()


def registered(emulator: Emulator, artefact: str) -> str:
    arn: str = emulator.client("sagemaker").create_model_package(
        ModelPackageGroupName="bitcoin",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": "xgboost", "ModelDataUrl": artefact}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    return arn


def trained(life: Life, name: str, minutes: Minutes, folder: Path, tracked: Mapping[str, str]) -> None:
    """A run of the pipeline over a lake of these minutes: the package and the decision by name."""
    s3, lake = life.emulator.client("s3"), f"lake/{name}/venue=kraken/symbol=BTC-USD"
    save(minutes, str(folder / "bars.parquet"))
    s3.upload_file(str(folder / "bars.parquet"), "models", f"{lake}/date=2024-10-07/bars.parquet")
    definition = pipeline.definition(
        role="arn:aws:iam::123456789012:role/training",
        region=life.emulator.region,
        image="sagemaker-xgboost:3.2-0",
        source="s3://models/code/0123abcd.gz",
        bars=f"s3://models/{lake}/",
        models="s3://models/models",
        group="bitcoin",
        state_table="state",
        hyperparameters={"test-days": "1.2"},
    )
    machine = Machine(life.emulator, folder, variables=tracked)
    life.executions[name] = execution = start(definition, machine, name="p", parameters={"Trials": "1"})
    [life.packages[name]] = execution.packages
    life.decisions[name] = execution.steps["Gate"].properties["PropertyFiles"]["Decision"]


def status(life: Life, name: str) -> str:
    described = life.emulator.client("sagemaker").describe_model_package(ModelPackageName=life.packages[name])
    return str(described["ModelApprovalStatus"])


def test_the_pipelines_own_definition_trains_weighs_and_registers_as_the_gate_decides(life, run):
    """The real training program, the real gate, a real registry entry."""
    s3, execution = life.emulator.client("s3"), life.executions["better"]
    described = life.emulator.client("sagemaker").describe_model_package(ModelPackageName=life.packages["better"])
    about = described["CustomerMetadataProperties"]
    bucket, _, key = about["decision"].removeprefix("s3://").partition("/")

    def told(name: str) -> dict[str, Any]:
        return dict(json.loads(s3.get_object(Bucket=bucket, Key=name)["Body"].read()))

    decision = told(key)
    assert described["ModelApprovalStatus"] == decision["status"]
    assert decision["reasons"]
    assert decision["champion_version"] == run.model.version
    assert not decision["notes"]
    assert {"champion", "har", "naive"} <= set(decision["skills"])
    assert told(key.replace("decision.json", "model_card.json")) == json.loads(decision["model_card"])
    manifest = told(f"models/runs/{execution.id}/dataset/manifest.json")
    assert about["dataset"] == manifest["digest"] == decision["dataset"]
    folder = execution.machine.work
    assert manifest["rows"] == pq.ParquetFile(folder / "bars.parquet").metadata.num_rows
    trained = execution.steps["Train"].properties
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    kept = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert {each.info.run_name for each in kept} == {trained["TrainingJobName"], "trial 1"}
    assert set(trained["FinalMetricDataList"]) == {"crps_skill_1", "crps_skill_5", "crps_skill_15", "crps_skill_60"}


def test_a_better_challenger_is_promoted_over_the_champion(life):
    decision = life.decisions["better"]

    assert (status(life, "better"), decision["status"]) == ("Approved", "Approved")
    assert all(skill["low"] > 0 for skill in decision["skills"].values())
    assert "champion" in decision["skills"]
    assert life.champion() == life.number("better")


def test_a_worse_challenger_is_registered_as_rejected_with_its_reasons_and_promoted_by_nobody(life):
    decision = life.decisions["worse"]

    assert (status(life, "worse"), decision["status"]) == ("Rejected", "Rejected")
    assert any("worse than the champion" in reason for reason in decision["reasons"])
    assert any("not better than" in reason for reason in decision["reasons"])
    with pytest.raises(NotPromotableError, match="is Rejected"):
        life.told("worse")
    assert life.champion() == life.number("better")


def test_what_the_gate_measured_is_on_the_models_card(life):
    card = json.loads(life.decisions["worse"]["model_card"])
    [evaluation] = card["evaluation_details"]

    assert evaluation["evaluation_observation"].startswith("Rejected: ")
    assert evaluation["metadata"]["champion"] == life.decisions["better"]["model_version"]
    assert "against champion" in [group["name"] for group in evaluation["metric_groups"]]


def test_a_corrupted_artefact_is_refused_and_the_champion_stays(life):
    s3 = life.emulator.client("s3")
    data = bytearray(s3.get_object(Bucket="models", Key="first/model.tar.gz")["Body"].read())
    data[len(data) // 2] ^= 0xFF
    s3.put_object(Bucket="models", Key="broken/model.tar.gz", Body=bytes(data))
    life.packages["broken"] = registered(life.emulator, "s3://models/broken/model.tar.gz")

    with pytest.raises(ModelError):
        life.told("broken")
    assert life.champion() == life.number("better")


def test_approving_an_older_version_rolls_back_and_its_forecasts_are_served(life, monkeypatch):
    bars = store(life)
    served = []
    for row, name in zip((-3, -2, -1), ("better", "stranger", "better"), strict=True):
        life.approve(name)
        bar = bars[row]
        monkeypatch.setattr(life.forecast.time, "time_ns", lambda bar=bar: (bar.end + 2 * SECOND) * 1000)
        life.forecast.handler({"Records": [{"eventName": "MODIFY", "dynamodb": {"NewImage": bar_item(bar)}}]}, CONTEXT)
        table = ForecastTable("forecasts", life.emulator.client("dynamodb"))
        made = [table.latest(BTC, horizon) for horizon in HORIZONS]
        assert {each.as_of for each in made} == {bar.end}
        assert not any(each.baseline for each in made)
        served.append({each.model_version for each in made})

    better, stranger = life.decisions["better"]["model_version"], life.decisions["better"]["champion_version"]
    assert served == [{better}, {stranger}, {better}]
    assert life.champion() == life.number("better")


def store(life: Life) -> list[Any]:
    """The market's newest minutes as bars in the table."""
    client, rows = life.emulator.client("dynamodb"), range(LENGTH - REACH // MINUTE - 10, LENGTH)
    for name, keys in (("bars", ("market", "start")), ("forecasts", ("series", "target_time"))):
        client.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=True)
            ],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        )
    bars = [
        kline(
            BTC,
            int(MARKET.start[row]),
            tuple(round(UNIT * getattr(MARKET, name)[row]) for name in ("open", "high", "low", "close")),
            round(UNIT * MARKET.volume[row]),
        )
        for row in rows
    ]
    items = [{**bar_item(bar), "version": {"N": "1"}} for bar in bars]
    for first in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[first : first + 25]]
        client.batch_write_item(RequestItems={"bars": puts})
    return bars
