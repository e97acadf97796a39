"""Routes whose answers are objects in S3, which API Gateway reads by itself and hands on with headers of its own."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from botocore.exceptions import ClientError

from local.intrinsics import TemplateError
from local.lambdas import Result

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PLACE: Final = re.compile(r":s3:path/([^/]+)/(.+)$")
_TAGGED: Final = "If-None-Match"
_METHOD: Final = "method.response.header."
_INTEGRATION: Final = "integration.response.header."
_REQUEST_ID: Final = "$context.requestId"
_UNKNOWN: Final = re.compile(r"\$(?!context\.requestId\b)")


@dataclass(frozen=True, slots=True)
class Selected:
    """The answer to those of S3's statuses that `pattern` matches; the one without a pattern is to all others."""

    status: int
    pattern: str | None
    headers: Mapping[str, str]
    templates: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An integration with one object; called with a proxy event, it answers as a function would."""

    bucket: str
    key: str
    answers: tuple[Selected, ...]
    asks_if_changed: bool

    @classmethod
    def from_properties(cls, integration: Mapping[str, Any]) -> Self | None:
        """From a method's resolved integration; None where it is another kind. Raises TemplateError."""
        place = _PLACE.search(str(integration.get("Uri", "")))
        if place is None:
            return None
        asked = integration.get("RequestParameters", {})
        conditional = {f"integration.request.header.{_TAGGED}": f"method.request.header.{_TAGGED}"}
        if asked not in ({}, conditional) or integration["IntegrationHttpMethod"] != "GET":
            raise TemplateError(f"{place[2]}: this request to S3 cannot be made here")
        answers = tuple(
            Selected(
                int(answer["StatusCode"]),
                answer.get("SelectionPattern"),
                answer.get("ResponseParameters", {}),
                answer.get("ResponseTemplates", {}),
            )
            for answer in integration["IntegrationResponses"]
        )
        if any(_UNKNOWN.search(text) for answer in answers for text in answer.templates.values()):
            raise TemplateError(f"{place[2]}: a template here may name {_REQUEST_ID} alone")
        return cls(place[1], place[2], answers, bool(asked))

    def answer(self, client: S3Client, event: Mapping[str, Any]) -> Result:
        """What comes of a request, in the form of a function's result."""
        began = time.monotonic()
        tag = next((text for name, text in event["headers"].items() if name.lower() == _TAGGED.lower()), None)
        status, headers, body = self._read(client, tag if self.asks_if_changed else None)
        chosen = self._chosen(status)
        if chosen.templates:
            template = chosen.templates["application/json"]
            body = template.replace(_REQUEST_ID, event["requestContext"]["requestId"]).encode()
        payload = {
            "statusCode": chosen.status,
            "headers": {name.removeprefix(_METHOD): _value(value, headers) for name, value in chosen.headers.items()},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        return Result("", payload, None, (time.monotonic() - began) * 1000, cold=False)

    def _read(self, client: S3Client, tag: str | None) -> tuple[int, Mapping[str, str], bytes]:
        condition = {"IfNoneMatch": tag} if tag else {}
        try:
            found = client.get_object(Bucket=self.bucket, Key=self.key, **condition)  # type: ignore[arg-type]
        except ClientError as error:
            told = error.response["ResponseMetadata"]
            return told["HTTPStatusCode"], told["HTTPHeaders"], b""
        return 200, found["ResponseMetadata"]["HTTPHeaders"], found["Body"].read()

    def _chosen(self, status: int) -> Selected:
        fits = (each for each in self.answers if each.pattern and re.fullmatch(each.pattern, str(status)))
        return next(fits, None) or next(each for each in self.answers if each.pattern is None)


def _value(given: str, headers: Mapping[str, str]) -> str:
    """A fixed text between quotation marks, or the header of S3's answer that is named."""
    if given.startswith("'"):
        return given[1:-1]
    return headers.get(given.removeprefix(_INTEGRATION).lower(), "")
