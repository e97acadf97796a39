"""What the local API refuses before a function is asked, and how it sends what is large."""

from __future__ import annotations

import gzip

import pytest

from local.rest import Route
from tests.local.serving import Serve, answering, echo, named, serve

__all__ = ["serve"]


@pytest.mark.parametrize("query", ["", "?horizon=", "?Horizon=5", "?limit=1"])
def test_what_a_route_requires_the_gateway_asks_for(serve: Serve, query: str) -> None:
    ask = serve(Route("/v1", "GET", echo, api_key_required=True, required=("horizon",)))

    refused = ask(f"/v1{query}")
    assert (refused.status, refused.json) == (400, {"message": "Missing required request parameters: [horizon]"})
    assert refused.headers["x-amzn-errortype"] == "BadRequestException"
    assert ask(f"/v1{query}", key=None).status == 403, "who has no key is told nothing more"
    assert ask("/v1?horizon=5").status == 200


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("br, GZIP;q=0.5", "gzip"), ("*", "gzip"), ("gzip;q=0", None), ("br", None), ("", None)],
)
def test_large_answers_are_compressed_for_those_who_take_it(serve: Serve, accepted: str, encoding: str | None) -> None:
    large = answering({"statusCode": 200, "body": "a" * 1024})
    ask = serve(Route("/large", "GET", large), Route("/small", "GET", named("s")), compressed_bytes=1024)
    reply = ask("/large", Accept_Encoding=accepted)

    assert reply.headers.get("content-encoding") == encoding
    assert (gzip.decompress(reply.body) if encoding else reply.body) == b"a" * 1024
    assert "content-encoding" not in ask("/small", Accept_Encoding=accepted).headers


def test_a_body_beyond_ten_megabytes_is_refused(serve: Serve) -> None:
    ask = serve(Route("/", "POST", lambda event: named(str(len(event["body"])))(event)))

    assert ask("/", "POST", b"x" * 10 * 1024 * 1024).json == str(10 * 1024 * 1024)
    refused = ask("/", "POST", b"x" * (10 * 1024 * 1024 + 1))
    assert (refused.status, refused.json) == (413, {"message": "Request Too Long"})


def test_a_request_line_too_long_is_told_in_json(serve: Serve) -> None:
    reply = serve(Route("/v1", "GET", echo))("/v1?" + "x" * 100_000)

    assert reply.status == 414
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["message"]
