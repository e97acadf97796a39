"""The pipeline's own definition, run step by step: the real training program, the real gate, a real registry entry."""

import json
from pathlib import Path

import pyarrow.parquet as pq
from mlflow import MlflowClient

from btc.aws.state import StateTable
from btc.champions import Champion
from local.jobs import Machine
from local.pipeline import start
from local.streams import Emulator
from tests.model.conftest import Run
from training import pipeline
from training.mlflow_runs import EXPERIMENT


def test_the_definition_trains_weighs_and_registers_as_the_gate_decides(
    emulator: Emulator, run: Run, tmp_path: Path, bundle: bytes
) -> None:
    s3 = emulator.client("s3")
    s3.put_object(Bucket="models", Key="code/0123abcd.gz", Body=bundle)
    bars = "lake/bars/venue=kraken/symbol=BTC-USD"
    s3.upload_file(str(run.bars), "models", f"{bars}/date=2024-10-07/bars.parquet")
    s3.upload_file(str(run.archive), "models", "champion/model.tar.gz")
    champion = Champion(run.model.version, "bitcoin/1", "s3://models/champion/model.tar.gz", "2024-10-12", "2024-10-13")
    StateTable("state", emulator.client("dynamodb")).promote(champion, {})
    definition = pipeline.definition(
        role="arn:aws:iam::123456789012:role/training",
        region=emulator.region,
        image="sagemaker-xgboost:3.2-0",
        source="s3://models/code/0123abcd.gz",
        bars=f"s3://models/{bars}/",
        models="s3://models/models",
        group="bitcoin",
        state_table="state",
        hyperparameters={"test-days": "0.7"},
    )

    tracked = f"sqlite:///{tmp_path}/mlflow.db"
    machine = Machine(emulator, tmp_path, variables={"MLFLOW_TRACKING_URI": tracked})

    execution = start(definition, machine, name="p", parameters={"Trials": "1"})

    [package] = execution.packages
    described = emulator.client("sagemaker").describe_model_package(ModelPackageName=package)
    bucket, _, key = described["CustomerMetadataProperties"]["decision"].removeprefix("s3://").partition("/")
    decision = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert described["ModelApprovalStatus"] == decision["status"]
    assert decision["reasons"]
    assert decision["champion_version"] == run.model.version
    assert not decision["notes"]
    assert {"champion", "har", "naive"} <= set(decision["skills"])
    with_card = json.loads(
        s3.get_object(Bucket=bucket, Key=key.replace("decision.json", "model_card.json"))["Body"].read()
    )
    assert with_card == json.loads(decision["model_card"])
    snapshot = f"models/runs/{execution.id}/dataset"
    manifest = json.loads(s3.get_object(Bucket="models", Key=f"{snapshot}/manifest.json")["Body"].read())
    assert described["CustomerMetadataProperties"]["dataset"] == manifest["digest"] == decision["dataset"]
    assert manifest["rows"] == pq.ParquetFile(run.bars).metadata.num_rows
    metrics = execution.steps["Train"].properties["FinalMetricDataList"]
    client = MlflowClient(tracking_uri=tracked)
    kept = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert {each.info.run_name for each in kept} == {execution.steps["Train"].properties["TrainingJobName"], "trial 1"}
    assert set(metrics) == {"crps_skill_1", "crps_skill_5", "crps_skill_15", "crps_skill_60"}
