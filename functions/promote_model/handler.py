"""Approved in the registry → champion: recomputes the artefact's sample rows, then moves the pointer."""

import os
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from btc.aws import clients
from btc.aws.models import download, package, require_approved
from btc.aws.state import StateTable
from btc.champions import Champion, card
from btc.models import Model
from btc.settings import PromoteModel
from btc.times import iso

logger = Logger()
metrics = Metrics()


@cache
def settings() -> PromoteModel:
    return PromoteModel.from_env(os.environ)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    approved = package(clients.sagemaker(), event["detail"]["ModelPackageArn"])
    require_approved(approved, settings().model_package_group)
    with TemporaryDirectory() as folder:
        model = Model.open(download(clients.s3(), approved.artefact, Path(folder)))
    model.verify()
    champion = Champion(
        model_version=model.version,
        package=approved.model_version,
        artefact=approved.artefact,
        trained_until=model.description["trained_until"],
        promoted_at=iso(time.time_ns() // 1000),
    )
    state = StateTable(settings().state_table, clients.dynamodb())
    promoted = state.promote(champion, card(model.description), approved_at=event["time"])
    metrics.add_metric("Promotions", MetricUnit.Count, int(promoted))
    logger.info("promoted" if promoted else "overtaken", extra=champion._asdict())
