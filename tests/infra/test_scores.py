"""Forecasts are scored by the clock, and a model that has drifted is trained anew."""

from tests.infra.assembly import Assembly, Json, resolved
from tests.infra.test_audits import schedule


def statements(assembly: Assembly, function: str) -> list[Json]:
    """What a function may do, beside what its event source needs."""
    role = assembly.functions[function]["Properties"]["Role"]["Fn::GetAtt"][0]
    policies = [
        policy["Properties"]["PolicyDocument"]["Statement"]
        for policy in assembly.of_type("IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
    ]
    return [resolved(statement) for found in policies for statement in found]


def test_forecasts_are_scored_by_the_clock_and_each_run_is_over_before_the_next(dev: Assembly, prod: Assembly) -> None:
    for assembly in (dev, prod):
        made = schedule(assembly, "score_forecasts")
        assert made["ScheduleExpression"] == "rate(5 minutes)"
        assert assembly.functions["score_forecasts"]["Properties"]["Timeout"] < 5 * 60


def test_scores_are_keyed_by_series_and_day_and_expire(dev: Assembly) -> None:
    [table] = [
        each["Properties"]
        for name, each in dev.of_type("DynamoDB::Table").items()
        if resolved({"Ref": name}) == scores_table(dev)
    ]

    assert [key["AttributeName"] for key in table["KeySchema"]] == ["series", "day"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_a_window_of_a_month_is_kept(dev: Assembly, prod: Assembly) -> None:
    for assembly in (dev, prod):
        assert int(variables(assembly, "score_forecasts")["RETENTION_DAYS"]) > 31


def test_the_function_writes_outcomes_and_sums_and_starts_the_one_pipeline(dev: Assembly) -> None:
    may = {
        (action, resource): statement
        for statement in statements(dev, "score_forecasts")
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }
    told = variables(dev, "score_forecasts")
    arns = {name: told[name].replace(">", ".Arn>") for name in told if name.endswith("_TABLE")}

    started = [resource for action, resource in may if action == "sagemaker:StartPipelineExecution"]
    assert len(started) == 1
    assert started[0].endswith(f":pipeline/{dev.one('SageMaker::Pipeline')['PipelineName']}")
    assert told["PIPELINE"] == dev.one("SageMaker::Pipeline")["PipelineName"]
    writes = {
        (action, resource)
        for action, resource in may
        if action.startswith("dynamodb:") and any(word in action for word in ("Put", "Update", "Delete", "Write"))
    }
    assert writes == {
        ("dynamodb:UpdateItem", arns["FORECASTS_TABLE"]),
        ("dynamodb:UpdateItem", arns["SCORES_TABLE"]),
        ("dynamodb:PutItem", arns["STATE_TABLE"]),
        ("dynamodb:UpdateItem", arns["STATE_TABLE"]),
    }


def test_the_api_reads_the_sums_that_are_written(dev: Assembly) -> None:
    assert variables(dev, "api")["SCORES_TABLE"] == scores_table(dev)


def scores_table(assembly: Assembly) -> str:
    return variables(assembly, "score_forecasts")["SCORES_TABLE"]


def variables(assembly: Assembly, function: str) -> dict[str, str]:
    found: dict[str, str] = resolved(assembly.functions[function]["Properties"]["Environment"]["Variables"])
    return found


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
