"""The local WebSocket API answers as API Gateway's: to those who come, to the functions behind it, and to boto3."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from btc.aws.pushing import Fate, push
from local.callers import Call
from local.lambdas import FunctionError, Result
from local.sockets import SocketApi, Sockets
from tests.local.serving import LARGE, answering, fill, management

MESSAGE = b'{"symbol": "BTC-USD"}'
FAILED = answering(error=FunctionError("Error", "why"))


class Stage:
    """A WebSocket API, what its functions were told, and a client of its management."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.events: list[Mapping[str, Any]] = []
        self.connect: Any = answering({"statusCode": 200})
        self.sockets = Sockets(lambda *calls: self.calls.extend(calls))
        behind = (self.authorise, self.hear(self.answer), self.hear(answering()))
        self.sockets.start(SocketApi("api1", "live", ("ticket",), *behind))
        self.client = management(self.sockets)

    def answer(self, event: Mapping[str, Any]) -> Any:
        return self.connect(event)

    def authorise(self, event: Mapping[str, Any]) -> Result:
        self.events.append(event)
        if event["queryStringParameters"]["ticket"] == "broken":
            return FAILED(event)
        effect = "Allow" if event["queryStringParameters"]["ticket"] == "good" else "Deny"
        policy = {"Statement": [{"Effect": effect, "Action": "execute-api:Invoke", "Resource": event["methodArn"]}]}
        return answering({"principalId": "p", "policyDocument": policy, "context": {"market": "m"}})(event)

    def hear(self, function: Any) -> Callable[[Mapping[str, Any]], Result]:
        def heard(event: Mapping[str, Any]) -> Result:
            self.events.append(event)
            return function(event)

        return heard

    def open(self, query: str = "?ticket=good", path: str = "/live", **options: Any) -> ClientConnection:
        return connect(self.sockets.endpoint + path + query, open_timeout=5, close_timeout=2, **options)

    def identity(self) -> str:
        """Of the connection that was opened last."""
        [*_, last] = [each for each in self.kinds() if each[0] == "CONNECT"]
        return last[1]

    def kinds(self) -> list[tuple[str, str]]:
        context = [each["requestContext"] for each in self.events if "type" not in each]
        return [(each["eventType"], each["connectionId"]) for each in context]

    def wait(self, reached: Callable[[], bool]) -> None:
        until = time.monotonic() + 10
        while not reached():
            assert time.monotonic() < until, self.kinds()
            time.sleep(0.01)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.client.close()
    made.sockets.stop()


def test_who_may_come_in_is_told_of_and_gets_what_is_posted(stage: Stage) -> None:
    with stage.open() as client:
        connection = stage.identity()
        stage.client.post_to_connection(ConnectionId=connection, Data=MESSAGE)

        assert client.recv(timeout=5) == MESSAGE.decode()
    stage.wait(lambda: stage.kinds() == [("CONNECT", connection), ("DISCONNECT", connection)])
    admitted, came, left = stage.events
    assert admitted["type"] == "REQUEST"
    assert admitted["methodArn"].endswith(":api1/live/$connect")
    assert admitted["requestContext"]["connectionId"] == connection
    assert came["requestContext"]["authorizer"] == {"principalId": "p", "market": "m"}
    assert left["requestContext"]["authorizer"] == {"principalId": "p", "market": "m"}
    assert stage.calls == [
        Call("push_forecasts", "execute-api:ManageConnections", f"api1/live/POST/@connections/{connection}")
    ]


@pytest.mark.parametrize(
    ("query", "path", "status", "asked"),
    [
        ("", "/live", 401, 0),
        ("?ticket=", "/live", 401, 0),
        ("?ticket=bad", "/live", 403, 1),
        ("?ticket=broken", "/live", 500, 1),
        ("?ticket=good", "/other", 403, 0),
    ],
    ids=["none", "empty", "bad", "broken", "elsewhere"],
)
def test_nobody_else_comes_in(query: str, path: str, status: int, asked: int, stage: Stage) -> None:
    with pytest.raises(InvalidStatus) as refused:
        stage.open(query, path)

    assert refused.value.response.status_code == status
    assert len(stage.events) == asked


@pytest.mark.parametrize(("answer", "status"), [(FAILED, 500), (answering({"statusCode": 429}), 429)], ids=["", "429"])
def test_a_connection_that_its_function_refuses_is_not_made(answer: Any, status: int, stage: Stage) -> None:
    stage.connect = answer
    with pytest.raises(InvalidStatus) as refused:
        stage.open()

    assert refused.value.response.status_code == status


def test_a_connection_can_be_ended_and_is_gone_then(stage: Stage) -> None:
    with stage.open() as client:
        connection = stage.identity()
        stage.client.get_connection(ConnectionId=connection)
        stage.client.delete_connection(ConnectionId=connection)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
    stage.wait(lambda: len(stage.kinds()) == 2)

    with pytest.raises(stage.client.exceptions.GoneException):
        stage.client.post_to_connection(ConnectionId=connection, Data=MESSAGE)


def test_what_a_client_says_is_not_listened_to_and_its_pings_are_answered(stage: Stage) -> None:
    with stage.open() as client:
        client.send(json.dumps({"action": "anything"}))

        assert client.ping().wait(timeout=5)


def test_a_message_that_is_too_long_is_refused(stage: Stage) -> None:
    with stage.open(), pytest.raises(stage.client.exceptions.PayloadTooLargeException):
        stage.client.post_to_connection(ConnectionId=stage.identity(), Data=b"x" * (128 * 1024 + 1))


def test_one_that_is_gone_and_one_that_does_not_read_keep_nothing_from_the_others(stage: Stage) -> None:
    with stage.open() as reads, stage.open(max_queue=1) as slow:
        first, second = [identity for _, identity in stage.kinds()]
        waiting = fill(stage.client, second)

        fates = push(stage.client, [second, "gone", first], LARGE)

        assert fates == {second: Fate.MISSED, "gone": Fate.GONE, first: Fate.SENT}
        assert len(reads.recv(timeout=5)) == len(LARGE)
        assert [len(slow.recv(timeout=5)) for _ in range(waiting)] == [len(LARGE)] * waiting
        stage.client.post_to_connection(ConnectionId=second, Data=MESSAGE)
        assert slow.recv(timeout=5) == MESSAGE.decode(), "it has missed one and gets the next"


def test_what_is_throttled_is_sent_again(stage: Stage) -> None:
    patient = management(stage.sockets, attempts=3)
    with stage.open(max_queue=1) as slow:
        connection = stage.identity()
        fill(stage.client, connection)
        before = len(stage.calls)
        assert push(patient, [connection], LARGE) == {connection: Fate.MISSED}

        assert len(stage.calls) - before == 3
        assert len(slow.recv(timeout=5)) == len(LARGE)
    patient.close()


def test_a_cut_ends_all_and_their_functions_are_told(stage: Stage) -> None:
    with stage.open() as client:
        assert stage.sockets.cut() == 1
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
    stage.wait(lambda: [kind for kind, _ in stage.kinds()] == ["CONNECT", "DISCONNECT"])
