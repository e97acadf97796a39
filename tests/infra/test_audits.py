"""The audit runs by itself, and may ask and send and no more."""

from tests.infra.assembly import Assembly, Json, resolved


def schedule(assembly: Assembly, function: str) -> Json:
    target = f"<{assembly.logical_id(function)}.Arn>"
    schedules = [resolved(each["Properties"]) for each in assembly.of_type("Scheduler::Schedule").values()]
    [found] = [each for each in schedules if each["Target"]["Arn"] == target]
    properties: Json = found
    return properties


def allowed(assembly: Assembly, role: str) -> dict[str, str]:
    """The actions a role may take, and on what."""
    rights = {}
    for policy in assembly.of_type("IAM::Policy").values():
        properties = resolved(policy["Properties"])
        if properties["Roles"] == [f"<{role}>"]:
            for statement in properties["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                rights |= dict.fromkeys([actions] if isinstance(actions, str) else actions, statement["Resource"])
    return rights


def test_bars_are_audited_each_half_hour_by_a_role_that_can_do_nothing_else(dev: Assembly) -> None:
    made = schedule(dev, "audit_bars")

    assert made["ScheduleExpression"] == "rate(30 minutes)"
    assert made["FlexibleTimeWindow"] == {"Mode": "OFF"}
    role = made["Target"]["RoleArn"].removeprefix("<").removesuffix(".Arn>")
    assert allowed(dev, role) == {"lambda:InvokeFunction": made["Target"]["Arn"]}


def test_the_audit_reads_bars_and_state_and_sends_trades_and_no_more(dev: Assembly) -> None:
    role = resolved(dev.functions["audit_bars"]["Properties"]["Role"]).removeprefix("<").removesuffix(".Arn>")

    rights = allowed(dev, role)

    [stream] = dev.of_type("Kinesis::Stream")
    logs = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert set(rights) - logs == {"dynamodb:Query", "dynamodb:GetItem", "kinesis:PutRecords"}
    assert rights["kinesis:PutRecords"] == f"<{stream}.Arn>"


def test_a_run_is_over_before_the_next_begins(dev: Assembly, local: Assembly) -> None:
    for assembly, minutes in ((dev, 30), (local, 5)):
        function = assembly.functions["audit_bars"]["Properties"]
        assert function["Environment"]["Variables"]["EVERY_MINUTES"] == str(minutes)
    assert dev.functions["audit_bars"]["Properties"]["Timeout"] < 15 * 60
