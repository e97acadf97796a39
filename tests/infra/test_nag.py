"""cdk-nag finds nothing that is not known, and everything that is said to be known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdk.settings import DEV, PROD, Stage


def findings(stage: Stage, folder: Path, *, acknowledged: bool) -> set[tuple[str, str]]:
    """Rule and path within the stack of every violation that is reported."""
    from aws_cdk import Validations  # noqa: PLC0415 - seconds
    from cdk_nag import AwsSolutionsChecks  # noqa: PLC0415

    from cdk.app import build  # noqa: PLC0415

    app = build(stage, output=folder, in_place=True, checked=acknowledged)
    if not acknowledged:
        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        assert "ValidationFailed" in str(error)  # noqa: PT017 - the report tells what was found
    report: dict[str, Any] = json.loads((folder / "validation-report.json").read_text())
    return {
        (violation["ruleName"], construct["constructPath"].partition("/")[2])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }


@pytest.mark.parametrize("stage", [replace(DEV, tracing=True), PROD], ids=lambda stage: stage.name)
def test_what_is_found_is_known_and_what_is_known_is_found(stage: Stage, tmp_path: Path) -> None:
    from cdk.app import build  # noqa: PLC0415
    from cdk.nag import known  # noqa: PLC0415

    [stack] = build(stage, output=tmp_path / "bare", in_place=True).node.find_all()[1:2]
    expected = known(stack, stage)

    found = findings(stage, tmp_path / "all", acknowledged=False)

    assert {(each.rule, each.where) for each in expected if not any(covers(each, one) for one in found)} == set()
    assert {one for one in found if not any(covers(each, one) for each in expected)} == set()
    assert all(len(each.reason) > 20 for each in expected)


def test_a_wider_right_ends_the_synthesis(tmp_path: Path) -> None:
    from aws_cdk import Stack  # noqa: PLC0415
    from aws_cdk import aws_iam as iam  # noqa: PLC0415

    from cdk.app import build  # noqa: PLC0415

    app = build(DEV, output=tmp_path, in_place=True, checked=True)
    [stack] = [each for each in app.node.children if isinstance(each, Stack)]
    role: Any = stack.node.find_child("Api").node.find_child("FunctionRole")
    role.add_to_policy(iam.PolicyStatement(actions=["dynamodb:*"], resources=["*"]))

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()

    assert "AwsSolutions-IAM5[Action::dynamodb:*]" in (tmp_path / "validation-report.json").read_text()


def test_the_app_is_clean_as_the_command_line_builds_it(tmp_path: Path) -> None:
    assert findings(DEV, tmp_path, acknowledged=True) == set()


def covers(known: Any, found: tuple[str, str]) -> bool:
    rule, path = found
    return known.rule == rule and (not known.where or path == known.where or path.startswith(known.where + "/"))
