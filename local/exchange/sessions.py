"""One client's WebSocket connection: requests answered, trades streamed as the clock passes them."""

import asyncio
import secrets
import time
from contextlib import suppress
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from local.exchange import protocol
from local.exchange.floor import Floor
from local.exchange.market import Market
from local.exchange.pairs import Pair
from local.exchange.protocol import Request, RequestError

HEARTBEAT_SECONDS: Final = 1.0
LONGEST_NAP: Final = 0.05
SHORTEST_NAP: Final = 0.005
FRAME_TRADES: Final = 100


class Session:
    """Serves one connection until it closes."""

    def __init__(self, connection: ServerConnection, floor: Floor) -> None:
        self._connection = connection
        self._floor = floor
        self._id = 2**62 + secrets.randbits(62)
        self._next: dict[Pair, int] = {}
        self._subscribed = False
        self._last_data = time.monotonic()

    async def run(self) -> None:
        """Reads and streams side by side; the first to end ends both. A client that leaves is no error."""
        with suppress(ConnectionClosed):
            await self.send_status()
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._stream())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, ConnectionClosed):
                raise end

    async def send_status(self) -> None:
        await self._send(protocol.status(self._floor.faults.system, self._id))

    def cut(self) -> None:
        """Ends the connection as a failing network does: no closing handshake."""
        self._connection.transport.abort()

    async def _read(self) -> None:
        async for text in self._connection:
            await self._answer(text)

    async def _answer(self, text: str | bytes) -> None:
        arrived = self._floor.clock.now()
        request = None
        try:
            request = Request.parse(text)
            match request.method:
                case "ping":
                    await self._send(protocol.pong(request, arrived, self._floor.clock.now()))
                case "subscribe" | "unsubscribe":
                    for symbol in request.symbols():
                        await self._answer_symbol(request, symbol, arrived)
                case _:
                    raise RequestError("Unsupported method")  # noqa: TRY301 - refused like every other bad request
        except RequestError as error:
            await self._refuse(request, error, arrived)

    async def _answer_symbol(self, request: Request, symbol: str, arrived: int) -> None:
        try:
            pair, market = self._listing(request, symbol)
        except RequestError as error:
            return await self._refuse(request, error, arrived)
        if request.method == "unsubscribe":
            del self._next[pair]
        await self._send(protocol.ack(request, symbol, arrived, self._floor.clock.now()))
        if request.method == "unsubscribe":
            return None
        tape = market.until(self._floor.clock.now())
        first = max(len(tape) - protocol.SNAPSHOT_TRADES, 0)
        if request.params.get("snapshot") is True:
            await self._send(protocol.trades("snapshot", pair, tape[first:], first))
        # Only now may updates flow: they begin right behind the snapshot.
        self._next[pair] = len(tape)
        self._subscribed = True
        self._last_data = time.monotonic()
        return None

    def _listing(self, request: Request, symbol: str) -> tuple[Pair, Market]:
        pair = protocol.listed(symbol)
        market = self._floor.market_of(pair)
        if market is None:
            raise RequestError(f"Currency pair not supported {symbol}", symbol)
        if request.method == "subscribe" and pair in self._next:
            raise RequestError("Already subscribed", symbol)
        if request.method == "unsubscribe" and pair not in self._next:
            raise RequestError("Subscription Not Found", symbol)
        return pair, market

    async def _refuse(self, request: Request | None, error: RequestError, arrived: int) -> None:
        method, req_id = (request.method, request.req_id) if request else (None, None)
        await self._send(protocol.nack(method, req_id, error, arrived, self._floor.clock.now()))

    async def _stream(self) -> None:
        while True:
            await asyncio.sleep(self._nap())
            now = self._floor.clock.now()
            for pair in list(self._next):
                await self._send_updates(pair, now)
            if self._subscribed and time.monotonic() - self._last_data >= HEARTBEAT_SECONDS:
                self._last_data = time.monotonic()
                await self._send(protocol.HEARTBEAT)

    async def _send_updates(self, pair: Pair, now: int) -> None:
        tape = self._floor.markets[pair].until(now)
        # A client may unsubscribe while a frame waits to be sent.
        while (first := self._next.get(pair, len(tape))) < len(tape):
            last = min(first + FRAME_TRADES, len(tape))
            self._next[pair] = last
            self._last_data = time.monotonic()
            await self._send(protocol.trades("update", pair, tape[first:last], first))

    def _nap(self) -> float:
        waits = [
            self._floor.clock.seconds_until(self._floor.markets[pair].time_of(index))
            for pair, index in self._next.items()
        ]
        return min(max(min(waits, default=LONGEST_NAP), SHORTEST_NAP), LONGEST_NAP)

    async def _send(self, frame: str) -> None:
        # A muted socket loses what it would have said: the trades stay on the tape, for REST to repair the gap.
        if not self._floor.faults.muted():
            await self._connection.send(frame)
