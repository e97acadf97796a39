"""The venue's end of a WebSocket: RFC 6455 frames as bytes, cut, stalled, torn and garbled."""

from __future__ import annotations

from btc.trades import Market, Trade
from tests.faults.faults import Faults
from tests.faults.venue import Venue

_TEXT, _CLOSE, _PING = 0x81, 0x88, 0x89
_JUNK = ('{"channel":"trade","type":"update","data":[{"symbol":7}]}', '{"type":"match"', "\x00\x01", "[]", '"what"')


class Session:
    """A socket to the client: it yields bytes as the venue's time passes, until its end."""

    def __init__(self, venue: Venue) -> None:
        self._venue, self._world, self._faults = venue, venue.world, venue.faults
        self._bytes = bytearray()
        self._timeout: float | None = None
        self._next: dict[Market, int] = {}
        self._asked: list[str] = []
        self._beat_at = self._opened = venue.world.now
        self._told_halt = False
        self._end: str | None = None
        self._write(venue.dialect.greeting("online"))

    # What a socket does.

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        return self._timeout

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, data: bytes) -> int:
        """Takes one frame of the client's, whole and masked."""
        self._world.sleep(0.0)
        if self._end:
            raise BrokenPipeError(self._end)
        opcode, length, at = data[0] & 0x0F, data[1] & 0x7F, 2
        if length == 126:
            length, at = int.from_bytes(data[2:4], "big"), 4
        mask, masked = data[at : at + 4], data[at + 4 : at + 4 + length]
        if opcode == 1:
            self._asked.append(bytes(byte ^ mask[row % 4] for row, byte in enumerate(masked)).decode())
        return len(data)

    def recv(self, size: int) -> bytes:
        """What has come, after waiting for it; raises TimeoutError, ConnectionResetError."""
        until = self._world.now + (self._timeout or 0.0)
        while True:
            self._produce()
            if self._bytes:
                # The network hands over what it likes to.
                part = bytes(self._bytes[: min(size, self._faults.random.choice([1, 90, 400, 65_536, 65_536]))])
                del self._bytes[: len(part)]
                return part
            if self._end == "reset":
                raise ConnectionResetError("Connection reset by peer")
            if self._end:
                return b""
            due = self._due()
            self._world.sleep(min(due, until) - self._world.now)
            if due > until:
                raise TimeoutError("timed out")

    # What the venue does.

    def _due(self) -> float:
        """When something may come next."""
        trades = [
            held.shown[self._next[market]]
            for market, held in self._venue.listings.items()
            if self._next.get(market, len(held.shown)) < len(held.shown)
        ]
        edges = [edge for window in (*self._venue.stalls, *self._venue.halts) for edge in window]
        moments = [self._beat_at, *trades, *edges, *self._venue.cuts[:1], *self._venue.repeats[:1]]
        return min(moment for moment in moments if moment > self._world.now)

    def _produce(self) -> None:
        """Everything that is due by now, in the venue's order."""
        now, venue = self._world.now, self._venue
        if self._end or any(max(begin, self._opened) <= now < end for begin, end in venue.stalls):
            return
        self._tell_trades()
        if self._asked:
            self._answer()
        if now >= self._beat_at:
            self._beat_at = now + 1.0
            self._write(venue.dialect.beat(self._subscribed(), venue.now()))
        if venue.repeats and now >= venue.repeats[0]:
            venue.repeats.pop(0)
            self._faults.struck["repeated snapshot"] += 1
            for trades in self._subscribed().values():
                self._write(venue.dialect.again(trades))
        if venue.halted() != self._told_halt:
            self._tell_halt()
        if venue.cuts and now >= venue.cuts[0]:
            venue.cuts.pop(0)
            self._cut()

    def _subscribed(self) -> dict[Market, list[Trade]]:
        return {market: trades for market, trades in self._venue.shown().items() if market in self._next}

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        shown = self._venue.shown()
        for text in asked:
            self._write(self._venue.dialect.answer(text, shown, self._venue.now()))
            if not self._next:
                self._next = {market: len(trades) for market, trades in shown.items()}

    def _tell_trades(self) -> None:
        for market, trades in self._subscribed().items():
            fresh = list(trades[self._next[market] :])
            self._next[market] = len(trades)
            if not fresh:
                continue
            if self._faults.strikes("ids missing"):
                fresh = [trade for trade in fresh if self._faults.random.random() < 0.5]
            reordered = self._faults.strikes("reordering")
            if reordered:
                self._faults.random.shuffle(fresh)
            place = self._faults.random.randint(0, len(fresh))
            for part in (fresh[:place], fresh[place:]):
                if part:
                    # What comes after a frame that does not read is taken to come later.
                    self._write(self._venue.dialect.trades(part), garbled=not reordered)

    def _tell_halt(self) -> None:
        self._told_halt = not self._told_halt
        self._faults.struck["maintenance"] += self._told_halt
        self._write(self._venue.dialect.greeting("maintenance" if self._told_halt else "online"))
        if self._told_halt and self._faults.random.random() < 0.5:
            self._bytes += _frame(_CLOSE, (1012).to_bytes(2, "big") + b"service restart")
            self._end = "closed"

    def _cut(self) -> None:
        """The connection ends in the middle of a frame."""
        self._faults.struck["socket cut"] += 1
        if not self._bytes:
            self._write(self._venue.dialect.trades([trades[-1] for trades in self._venue.shown().values() if trades]))
        del self._bytes[-self._faults.random.randint(1, min(40, len(self._bytes))) :]
        self._end = self._faults.random.choice(["reset", "end of file"])

    def _write(self, texts: list[str], *, garbled: bool = False) -> None:
        for text in texts:
            told = text
            if garbled and self._faults.strikes("malformed frame"):
                # Something strange before the frame, or the frame itself cut short.
                strange = self._faults.random.choice(_JUNK)
                if self._faults.random.random() < 0.5:
                    self._bytes += _frame(_TEXT, strange.encode())
                else:
                    told = text[: self._faults.random.randint(20, len(text) - 1)]
            self._bytes += _torn(self._faults, told.encode())


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes([opcode, length]) + payload
    if length < 65_536:
        return bytes([opcode, 126]) + length.to_bytes(2, "big") + payload
    return bytes([opcode, 127]) + length.to_bytes(8, "big") + payload


def _torn(faults: Faults, payload: bytes) -> bytes:
    """The text in one frame, or now and then in two with a ping between them, as the protocol allows."""
    if faults.random.random() < 0.97:
        return _frame(_TEXT, payload)
    middle = len(payload) // 2
    return _frame(0x01, payload[:middle]) + _frame(_PING, b"there?") + _frame(0x80, payload[middle:])
