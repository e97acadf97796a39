"""The route that sells tickets: an address that opens once, never kept, and a plain word where nothing is pushed."""

from dataclasses import replace

from btc.aws import clients
from btc.aws.listeners import TICKET_S, ListenerTable
from btc.times import iso
from tests.unit.asking import NOW, SETTINGS, ask, asking, clock
from tests.unit.aws import aws
from tests.unit.market import BTC

__all__ = ["ask", "aws", "clock"]
PATH = "/v1/forecasts/BTC-USD/live"


def test_the_answer_is_an_address_that_opens_the_channel_of_its_market(ask):
    reply = ask(PATH)
    address, _, ticket = reply.body["url"].partition("?ticket=")

    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    assert "etag" not in reply.headers
    assert address == "wss://channel.example/live"
    assert reply.body["expires_s"] == TICKET_S
    assert (reply.body["symbol"], reply.body["venue"], reply.body["as_of"]) == ("BTC-USD", "kraken", iso(NOW))
    assert ListenerTable("listeners", clients.dynamodb()).redeem(ticket, NOW) == BTC


def test_a_market_that_is_not_followed_has_no_channel(ask):
    assert ask("/v1/forecasts/DOGE-USD/live").status == 404
    assert ask(PATH, venue="nowhere").status == 404


def test_a_deployment_without_a_channel_says_so(aws, clock, monkeypatch):
    silent = asking(replace(SETTINGS, channel_url="", listeners_table=""), clock, monkeypatch)
    reply = silent(PATH)

    assert reply.status == 404
    assert "nothing is pushed here" in reply.body["detail"]
    assert silent("/v1/forecasts/BTC-USD").status == 200
