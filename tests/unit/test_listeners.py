"""Tickets open one connection, for a short time; who listens is known by market, and forgotten when they are gone."""

from btc.aws import clients
from btc.aws.listeners import HANDSHAKE, LONGEST, TICKET_S, ListenerTable
from btc.times import SECOND
from btc.trades import Market
from tests.unit.aws import aws
from tests.unit.market import BTC, NOON

__all__ = ["aws"]

ETH = Market("kraken", "ETH-USD")


def table() -> ListenerTable:
    return ListenerTable("listeners", clients.dynamodb())


def test_a_ticket_opens_one_connection_to_its_market(aws):
    ticket, other = table().issue(BTC, NOON), table().issue(ETH, NOON)

    assert table().redeem(ticket, NOON) == BTC
    assert table().redeem(ticket, NOON) is None
    assert table().redeem(other, NOON) == ETH


def test_a_ticket_ages(aws):
    young, old = table().issue(BTC, NOON), table().issue(BTC, NOON)

    assert table().redeem(young, NOON + (TICKET_S - 1) * SECOND) == BTC
    assert table().redeem(old, NOON + TICKET_S * SECOND) is None


def test_what_was_never_issued_opens_nothing(aws):
    table().add(BTC, "connection", NOON)

    assert [table().redeem(guess, NOON) for guess in ("guess", "connection", str(BTC), "", "x" * 2000, "é" * 32)] == [
        None
    ] * 6
    assert table().of(BTC) == ["connection"]


def test_tickets_are_long_and_never_the_same(aws):
    tickets = {table().issue(BTC, NOON) for _ in range(20)}

    assert len(tickets) == 20
    assert min(map(len, tickets)) >= 32


def test_each_market_has_its_listeners(aws):
    for market, connection in ((BTC, "a"), (BTC, "b"), (ETH, "c")):
        table().add(market, connection, NOON)
    table().issue(BTC, NOON)
    table().remove(BTC, "a")

    assert (table().of(BTC), table().of(ETH)) == (["b"], ["c"])


def test_more_listeners_than_a_page_holds_are_all_told(aws):
    names = [f"{row:04}-{'x' * 1000}" for row in range(1200)]
    for name in names:
        table().add(BTC, name, NOON)

    assert table().of(BTC) == names


def test_who_is_gone_is_forgotten_unless_the_handshake_may_not_be_over(aws):
    for connection in ("gone", "coming"):
        table().add(BTC, connection, NOON)
    table().forget(BTC, "coming", NOON + HANDSHAKE)
    table().forget(BTC, "gone", NOON + HANDSHAKE + SECOND)
    table().forget(BTC, "never was", NOON)

    assert table().of(BTC) == ["coming"]


def test_everything_expires_by_itself(aws):
    table().issue(BTC, NOON)
    table().add(BTC, "connection", NOON)
    kept = {item["audience"]["S"]: item for item in clients.dynamodb().scan(TableName="listeners")["Items"]}

    assert kept["ticket"]["expires"]["N"] == str(NOON // SECOND + TICKET_S)
    assert kept[str(BTC)]["expires"]["N"] == str((NOON + LONGEST) // SECOND)
