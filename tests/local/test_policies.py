"""Whichever way a template gives a right, it is read: else it would be compared with no call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.policies import Right, rights, unused

ROLE = "FunctionRole"
GIVEN = {
    "Statement": [{"Effect": "Allow", "Action": "dynamodb:DeleteItem", "Resource": {"Fn::GetAtt": ["Table", "Arn"]}}]
}
BY_REFERENCE = {"Ref": ROLE}
PLANTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "of a policy that names the role": (
        {},
        {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [BY_REFERENCE], "PolicyDocument": GIVEN}},
    ),
    "of a managed policy that names the role": (
        {},
        {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"Roles": [BY_REFERENCE], "PolicyDocument": GIVEN}},
    ),
    "of a managed policy that the role names": (
        {"ManagedPolicyArns": [{"Ref": "Planted"}]},
        {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": GIVEN}},
    ),
    "of the role's own": (
        {"Policies": [{"PolicyName": "more", "PolicyDocument": GIVEN}]},
        {"Type": "AWS::CDK::Metadata", "Properties": {}},
    ),
    "of one put into the role": (
        {},
        {"Type": "AWS::IAM::RolePolicy", "Properties": {"RoleName": BY_REFERENCE, "PolicyDocument": GIVEN}},
    ),
}


def template(role: dict[str, Any], planted: dict[str, Any]) -> dict[str, Any]:
    function = {
        "Role": {"Fn::GetAtt": [ROLE, "Arn"]},
        "Environment": {"Variables": {"POWERTOOLS_SERVICE_NAME": "api"}},
    }
    return {
        "Resources": {
            "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
            ROLE: {"Type": "AWS::IAM::Role", "Properties": role},
            "Planted": planted,
        }
    }


@pytest.mark.parametrize(("role", "planted"), PLANTED.values(), ids=PLANTED)
def test_a_right_is_read_whichever_way_it_is_given_and_found_where_nobody_uses_it(
    role: dict[str, Any], planted: dict[str, Any]
) -> None:
    granted = rights(template(role, planted))

    assert granted == {Right("api", "dynamodb:DeleteItem", "Table")}
    assert unused(granted, set(), set(), "Failures") == [*granted]


def test_what_the_template_does_not_tell_is_refused() -> None:
    arn = "arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess"

    with pytest.raises(ValueError, match=r"api has a policy that the template does not hold: .*FullAccess"):
        rights(template({"ManagedPolicyArns": [arn]}, {"Type": "AWS::CDK::Metadata", "Properties": {}}))


def test_what_is_denied_is_no_right() -> None:
    denied = {"Statement": [{**GIVEN["Statement"][0], "Effect": "Deny"}]}

    assert rights(template({"Policies": [{"PolicyDocument": denied}]}, PLANTED["of the role's own"][1])) == set()
