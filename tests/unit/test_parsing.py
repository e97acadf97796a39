"""What our parser leaves as it came is what botocore's makes of it."""

import json
from typing import Any

import pytest
from botocore.model import OperationModel
from botocore.parsers import JSONParser, ResponseParserFactory
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from btc.aws.parsing import Parsers

QUERY: OperationModel = get_session().get_service_model("dynamodb").operation_model("Query")
LEAVES = st.one_of(
    st.builds(lambda text: {"S": text}, st.text(max_size=5) | st.sampled_from(["B", '"B"', "BS"])),
    st.builds(lambda number: {"N": str(number)}, st.integers()),
    st.builds(lambda truth: {"BOOL": truth}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda texts: {"SS": texts}, st.lists(st.text(max_size=3), max_size=3)),
    st.builds(lambda numbers: {"NS": list(map(str, numbers))}, st.lists(st.integers(), max_size=3)),
    st.just({"B": "eHl6"}),
    st.just({"BS": ["eHl6", "YQ=="]}),
    st.just({}),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lambda several: {"L": several}, st.lists(inner, max_size=3))
        | st.builds(lambda named: {"M": named}, st.dictionaries(st.text(max_size=3), inner, max_size=3))
    ),
    max_leaves=12,
)


def received(parser: JSONParser, body: bytes) -> Any:
    return parser.parse({"status_code": 200, "headers": {}, "body": body}, QUERY.output_shape)


def parsed(parser: JSONParser, answer: dict[str, Any]) -> Any:
    return received(parser, json.dumps(answer).encode())


@given(items=st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), max_size=3))
def test_values_are_those_of_botocores_parser(items: list[dict[str, Any]]) -> None:
    answer = {"Items": items, "Count": len(items), "LastEvaluatedKey": items[0] if items else {}}
    usual = ResponseParserFactory().create_parser("json")

    assert parsed(Parsers().create_parser("json"), answer) == parsed(usual, answer)


def test_other_protocols_keep_their_parsers() -> None:
    for protocol in ("rest-xml", "query", "rest-json"):
        assert type(Parsers().create_parser(protocol)) is type(ResponseParserFactory().create_parser(protocol))


@pytest.mark.parametrize("body", [b"", b"no JSON", b"{", b"null"])
def test_what_is_no_answer_is_taken_as_botocore_takes_it(body: bytes) -> None:
    usual = ResponseParserFactory().create_parser("json")

    assert received(Parsers().create_parser("json"), body) == received(usual, body)


@pytest.mark.parametrize(("body", "error"), [(b"NaN", AttributeError), (b"\xff", UnicodeDecodeError)])
def test_what_botocore_refuses_is_refused_by_the_same_error(body: bytes, error: type[Exception]) -> None:
    for factory in (Parsers(), ResponseParserFactory()):
        with pytest.raises(error):
            received(factory.create_parser("json"), body)
