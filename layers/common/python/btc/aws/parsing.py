"""DynamoDB's answers as they came: an attribute's value is its JSON already, but for what is binary.

botocore's parser looks in each value for each of the ten kinds there are, and makes it anew: for a page of forecasts
that was two thirds of all that an answer takes.
"""

from typing import Any

import msgspec
from botocore.parsers import JSONParser, ResponseParserFactory


class _Parser(JSONParser):
    def _handle_json_body(self, raw_body: bytes, shape: Any) -> Any:
        # In a text the quotes would be escaped: these are names, or texts that are no more than a name.
        if b'"B"' in raw_body or b'"BS"' in raw_body:
            return super()._handle_json_body(raw_body, shape)  # type: ignore[misc] # the stubs leave it out
        plain = _AsTheyAre(self._timestamp_parser, self._blob_parser)  # type: ignore[attr-defined] # as above
        return plain._handle_json_body(raw_body, shape)  # type: ignore[attr-defined] # as above


class _AsTheyAre(JSONParser):
    """Leaves attributes' values as they came: for answers in which none is binary."""

    def _handle_map(self, shape: Any, value: Any) -> Any:
        return value if shape.value.name == "AttributeValue" else super()._handle_map(shape, value)  # type: ignore[misc] # as above

    def _parse_body_as_json(self, body_contents: bytes) -> Any:
        try:
            return msgspec.json.decode(body_contents)
        except msgspec.DecodeError:  # what is empty, no JSON, or JSON to Python alone
            return super()._parse_body_as_json(body_contents)  # type: ignore[misc] # as above


class Parsers(ResponseParserFactory):
    """Those of botocore, and for JSON one that leaves values as they are."""

    def create_parser(self, protocol_name: str) -> Any:
        if protocol_name != "json":
            return super().create_parser(protocol_name)
        return _Parser(**self._defaults)  # type: ignore[attr-defined] # as above
