"""The page's files as open routes: nothing else is readable, nothing runs, and each says how long it may be kept."""

from types import ModuleType

import msgspec
import pytest

from btc.problems import ProblemDetails
from tests.infra.assembly import Assembly, Json, resolved


def integrations(assembly: Assembly) -> dict[str, Json]:
    """The methods that read S3, by the object's key."""
    methods = [resolved(each["Properties"]) for each in assembly.of_type("ApiGateway::Method").values()]
    read = [method for method in methods if ":s3:path/" in str(method["Integration"].get("Uri", ""))]
    return {method["Integration"]["Uri"].rpartition("/")[2]: method for method in read}


def test_every_file_is_served_without_a_key(dev: Assembly, dashboard: ModuleType) -> None:
    served = integrations(dev)

    assert len(served) == len(dashboard.files()) == 4
    assert "/" in dashboard.files()
    assert not [method for method in served.values() if method["ApiKeyRequired"] or method["HttpMethod"] != "GET"]


def test_the_gateway_may_read_these_objects_and_no_other(dev: Assembly) -> None:
    [role] = {method["Integration"]["Credentials"] for method in integrations(dev).values()}
    policies = [resolved(each["Properties"]) for each in dev.of_type("IAM::Policy").values()]
    [statements] = [
        policy["PolicyDocument"]["Statement"] for policy in policies if f"{policy['Roles'][0][:-1]}.Arn>" == role
    ]

    assert {statement["Action"] for statement in statements} == {"s3:GetObject"}
    resources = [arn for statement in statements for arn in statement["Resource"]]
    assert {arn.rpartition("/")[2] for arn in resources} == set(integrations(dev))
    assert not [arn for arn in resources if "*" in arn]


@pytest.mark.parametrize("status", ["200", "304"])
def test_answers_are_safe_and_only_the_page_is_asked_for_anew(
    status: str, dev: Assembly, dashboard: ModuleType
) -> None:
    for key, method in integrations(dev).items():
        [answer] = [each for each in method["Integration"]["IntegrationResponses"] if each["StatusCode"] == status]
        told = {name.rpartition(".")[2]: value for name, value in answer["ResponseParameters"].items()}
        assert {name: told[name] for name in dashboard.SAFE} == {
            name: f"'{value}'" for name, value in dashboard.SAFE.items()
        }
        assert told["Cache-Control"] == ("'no-cache'" if key.endswith(".html") else f"'{dashboard.FOR_GOOD}'")
        assert told["ETag"] == "integration.response.header.ETag"
        assert told["Vary"] == "'Accept-Encoding'"
        # What is between a fixed value's quotation marks may hold none.
        assert not [value for value in told.values() if "'" in value[1:-1]]


def test_what_cannot_be_read_is_told_as_every_problem_is(dev: Assembly) -> None:
    for method in integrations(dev).values():
        [gone] = [each for each in method["Integration"]["IntegrationResponses"] if each["StatusCode"] == "502"]
        headers = {name.rpartition(".")[2]: value for name, value in gone["ResponseParameters"].items()}
        declared = next(each for each in method["MethodResponses"] if each["StatusCode"] == "502")
        assert (headers["Content-Type"], headers["Cache-Control"]) == ("'application/problem+json'", "'no-store'")
        assert set(declared["ResponseParameters"]) == set(gone["ResponseParameters"])
        for template in gone["ResponseTemplates"].values():
            problem = msgspec.json.decode(template, type=ProblemDetails)
            assert (problem.status, problem.request_id) == (502, "$context.requestId")


def test_the_page_says_what_may_run_on_it(dashboard: ModuleType) -> None:
    page = dashboard.files()["/"].read_text()

    assert dashboard.files()["/"].name == dashboard.PAGE
    assert "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'" in page
    assert "unsafe" not in page
    assert "style=" not in page
    assert "<script>" not in page
