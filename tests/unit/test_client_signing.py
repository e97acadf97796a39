"""Requests that the client signs are those that AWS's own library would sign, and who signs is told plainly."""

from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from btc.client import NoCredentialsError, Signer
from btc.client.__main__ import main
from tests.unit.test_client import HEALTH, Server, ok, server

__all__ = ["server"]
HOST = "a1b2.execute-api.eu-central-1.amazonaws.com"
NOW = datetime(2026, 11, 24, 17, 30, 5, tzinfo=UTC)
LENT = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_SESSION_TOKEN": "lent/for+now=",
}
OWN = {name: value for name, value in LENT.items() if name != "AWS_SESSION_TOKEN"}


@pytest.mark.parametrize("environment", [OWN, LENT], ids=["own", "lent"])
@pytest.mark.parametrize(
    "target",
    [
        "/live/health",
        "/live/v1/bars/BTC-USD?interval=5m&start=2026-11-22T20%3A28%3A00%2B00%3A00&end=2026-11-23T00%3A00%3A00Z",
        "/live/v1/forecasts/a%2Fb%20c~d/history?horizon=5&cursor=a%20b",
    ],
)
def test_a_signature_is_the_one_that_awss_own_library_makes(target, environment):
    request = AWSRequest("GET", f"https://{HOST}{target}", headers={"host": HOST})
    credentials = Credentials(*environment.values())
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        SigV4Auth(credentials, "execute-api", "eu-central-1").add_auth(request)
    expected = {name.lower(): value for name, value in request.headers.items() if name.lower() != "host"}

    assert Signer.of(environment, f"https://{HOST}/live").headers(HOST, target, NOW.timestamp()) == expected


def test_the_region_is_the_addresss_or_else_the_environments():
    own = {**OWN, "AWS_DEFAULT_REGION": "us-west-2"}

    assert Signer.of(own, f"https://{HOST}/live").region == "eu-central-1"
    assert Signer.of(own, "https://prices.example.org").region == "us-west-2"
    assert Signer.of({**own, "AWS_REGION": "eu-north-1"}, "https://prices.example.org").region == "eu-north-1"
    with pytest.raises(NoCredentialsError, match="AWS_REGION"):
        Signer.of(OWN, "https://prices.example.org")


def test_the_command_signs_beside_the_key_where_it_is_told_to(server: Server, capsys):
    server.script = [ok(HEALTH)]
    environment = {**LENT, "AWS_REGION": "eu-north-1", "BTC_API_URL": server.url, "BTC_API_KEY": "key-1"}

    assert main(["--sign", "health"], environment) == 0
    assert main(["health"], environment) == 0
    (_, signed), (_, plain) = server.asked
    assert signed["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-north-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date;" in signed["authorization"]
    assert (signed["x-api-key"], signed["x-amz-security-token"]) == ("key-1", LENT["AWS_SESSION_TOKEN"])
    assert "authorization" not in plain


def test_without_credentials_the_command_says_what_to_set_and_nobody_prints_a_secret(server: Server, capsys):
    assert main(["--sign", "health"], {"BTC_API_URL": server.url}) == 1
    assert "AWS_ACCESS_KEY_ID" in capsys.readouterr().err
    assert server.asked == []
    assert "not-a-secret" not in repr(Signer.of(LENT, f"https://{HOST}"))


@pytest.mark.parametrize("name", [*LENT, "AWS_REGION"])
def test_credentials_that_can_be_none_are_refused_and_not_quoted(name, server: Server, capsys):
    environment = {**LENT, "AWS_REGION": "eu-north-1", "BTC_API_URL": server.url, name: "not-a\nsecret"}

    assert main(["--sign", "health"], environment) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"✗ {name} holds")
    assert "secret" not in told
    assert server.asked == []
