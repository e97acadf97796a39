"""The exchange's two servers on one floor: WebSocket in the event loop, REST in threads beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from threading import Thread
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from local.exchange.floor import Floor
from local.exchange.protocol import SYSTEMS
from local.exchange.rest import RestServer
from local.exchange.sessions import Session

HOST: Final = "127.0.0.1"
PATH: Final = "/v2"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the exchange listens."""

    websocket: str
    rest: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


class Controls:
    """Carries out `POST /control` orders, given in any thread, on the sessions of the event loop."""

    def __init__(self, floor: Floor, loop: asyncio.AbstractEventLoop) -> None:
        self.sessions: set[Session] = set()
        self._floor = floor
        self._loop = loop

    def __call__(self, order: dict[str, Any]) -> None:
        """Obeys one order: disconnect, mute_seconds, throttle or system; raises ValueError on any other."""
        match order:
            case {"disconnect": True}:
                self._loop.call_soon_threadsafe(self._cut)
            case {"mute_seconds": int() | float() as seconds}:
                self._floor.faults.mute(seconds)
            case {"throttle": int(calls)}:
                self._floor.faults.throttled = calls
            case {"system": str(system)} if system in SYSTEMS:
                self._floor.faults.system = system
                asyncio.run_coroutine_threadsafe(self._tell(), self._loop).result(timeout=5)
            case _:
                raise ValueError(
                    f'{order} is no order: send {{"disconnect": true}}, {{"mute_seconds": n}}, {{"throttle": n}} '
                    f'or {{"system": one of {", ".join(SYSTEMS)}}}'
                )

    def _cut(self) -> None:
        for session in self.sessions:
            session.cut()

    async def _tell(self) -> None:
        for session in list(self.sessions):
            with suppress(ConnectionClosed):  # a client that has just left needs no news
                await session.send_status()


@asynccontextmanager
async def serving(floor: Floor, *, port: int = 0) -> AsyncIterator[Addresses]:
    """Serves the floor while the context is open; `port` 0 takes free ports, another is the WebSocket's."""
    controls = Controls(floor, asyncio.get_running_loop())

    async def attend(connection: ServerConnection) -> None:
        session = Session(connection, floor)
        controls.sessions.add(session)
        try:
            await session.run()
        finally:
            controls.sessions.discard(session)

    websocket = await serve(
        attend, HOST, port, process_request=_admit, compression=None, server_header=None, close_timeout=0.5
    )
    rest = RestServer((HOST, 0), floor, controls)
    thread = Thread(target=rest.serve_forever, kwargs={"poll_interval": 0.1}, name="rest", daemon=True)
    thread.start()
    try:
        bound = websocket.sockets[0].getsockname()[1]
        yield Addresses(f"ws://{HOST}:{bound}{PATH}", f"http://{HOST}:{rest.server_port}")
    finally:
        rest.shutdown()
        rest.server_close()
        websocket.close()
        await websocket.wait_closed()


def _admit(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == PATH:
        return None
    return connection.respond(HTTPStatus.NOT_FOUND, f"the WebSocket is at {PATH}\n")
