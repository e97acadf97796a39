"""A route that is an object in S3 answers as API Gateway would: mapped headers, conditions, its own words."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.intrinsics import TemplateError
from local.objects import StoredObject

PROPERTIES: Mapping[str, Any] = {
    "Type": "AWS",
    "Uri": "arn:aws:apigateway:us-east-1:s3:path/assets/folder/page.html",
    "IntegrationHttpMethod": "GET",
    "RequestParameters": {"integration.request.header.If-None-Match": "method.request.header.If-None-Match"},
    "IntegrationResponses": [
        {
            "StatusCode": "200",
            "ResponseParameters": {
                "method.response.header.Content-Type": "'text/html'",
                "method.response.header.ETag": "integration.response.header.ETag",
            },
        },
        {
            "StatusCode": "304",
            "SelectionPattern": "304",
            "ResponseParameters": {"method.response.header.Cache-Control": "'no-cache'"},
        },
        {
            "StatusCode": "502",
            "SelectionPattern": "[45]\\d\\d",
            "ResponseTemplates": {"application/json": '{"id": "$context.requestId"}'},
        },
    ],
}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="assets")
        client.put_object(Bucket="assets", Key="folder/page.html", Body="<p>ü</p>".encode())
        yield client


def stored(**changed: Any) -> StoredObject:
    found = StoredObject.from_properties({**PROPERTIES, **changed})
    assert found
    return found


def ask(s3: Any, behind: StoredObject, **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    payload = behind.answer(s3, {"headers": named, "requestContext": {"requestId": "request-1"}}).payload
    return payload["statusCode"], payload["headers"], base64.b64decode(payload["body"])


def test_the_object_is_the_answer_with_the_headers_of_the_template(s3: Any) -> None:
    tag = s3.head_object(Bucket="assets", Key="folder/page.html")["ETag"]

    assert ask(s3, stored()) == (200, {"Content-Type": "text/html", "ETag": tag}, "<p>ü</p>".encode())


def test_what_has_not_changed_is_not_sent_again(s3: Any) -> None:
    tag = s3.head_object(Bucket="assets", Key="folder/page.html")["ETag"]

    assert ask(s3, stored(), if_none_match=tag) == (304, {"Cache-Control": "no-cache"}, b"")
    assert ask(s3, stored(), if_none_match='"another"')[0] == 200
    assert ask(s3, stored(RequestParameters={}), if_none_match=tag)[0] == 200


def test_what_is_not_there_is_told_in_the_words_of_the_template(s3: Any) -> None:
    s3.delete_object(Bucket="assets", Key="folder/page.html")

    assert ask(s3, stored()) == (502, {}, b'{"id": "request-1"}')


def test_another_request_to_s3_is_refused_by_name() -> None:
    with pytest.raises(TemplateError, match=r"folder/page\.html"):
        stored(IntegrationHttpMethod="PUT")


def test_a_template_that_takes_more_than_the_requests_id_is_refused_by_name() -> None:
    other = {"StatusCode": "200", "ResponseTemplates": {"application/json": "$input.body"}}
    with pytest.raises(TemplateError, match=r"folder/page\.html"):
        stored(IntegrationResponses=[other])


def test_another_integration_is_none_of_these() -> None:
    assert StoredObject.from_properties({"Type": "MOCK"}) is None
