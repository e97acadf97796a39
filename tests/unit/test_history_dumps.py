"""Binance's dumps from a server over real HTTP: which files are asked for, and that none is used unproven."""

from pathlib import Path

import pytest

from btc.feeds.binance_dumps import Dump, Dumps, Kind
from btc.feeds.downloads import DownloadError, Downloads
from btc.times import DAY, parse_iso
from tests.unit.dumping import BINANCE, MARCH, FileServer, published, serving_files

MONTH = "data/spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2024-03.zip"
DAY_ONE = "data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-03-01.zip"


def of(server: FileServer, pauses: list[float] | None = None) -> Dumps:
    return Dumps(server.url, Downloads(sleep=(pauses if pauses is not None else []).append))


def day(text: str) -> int:
    return parse_iso(f"{text}T00:00:00Z")


def planned(server: FileServer, since: str, until: str, kind: Kind = Kind.TRADES) -> list[str]:
    """The files planned, with a mark behind those that are not published."""
    plan = of(server).plan(BINANCE, kind, day(since), day(until))
    return [dump.path + ("" if digest else " absent") for dump, digest in plan]


def test_a_month_asked_for_whole_is_one_file_and_days_beside_it_are_files_of_their_own() -> None:
    days = [f"data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-{date}.zip" for date in ("2024-02-29", "2024-04-01")]
    with serving_files({path: b for name in (MONTH, *days) for path, b in published(name, ["1"]).items()}) as server:
        assert planned(server, "2024-02-29", "2024-04-02") == [days[0], MONTH, days[1]]


def test_a_month_not_published_yet_comes_day_by_day_and_its_absent_days_are_told() -> None:
    with serving_files(published(DAY_ONE, ["1"])) as server:
        plan = planned(server, "2024-03-01", "2024-04-01")

    assert plan[0] == DAY_ONE
    assert len(plan) == 31
    assert all(path.endswith(" absent") for path in plan[1:])


@pytest.mark.parametrize(
    ("since", "until", "path"),
    [
        ("2024-12-01", "2025-01-01", "data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12.zip"),
        ("2024-12-31", "2025-01-01", "data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12-31.zip"),
    ],
)
def test_klines_lie_in_a_folder_of_their_length(since: str, until: str, path: str) -> None:
    with serving_files(published(path, ["1"])) as server:
        assert planned(server, since, until, Kind.KLINES) == [path]


def fetched(server: FileServer, folder: Path) -> bytes:
    [(dump, digest)] = of(server).plan(BINANCE, Kind.TRADES, MARCH, MARCH + DAY)
    assert digest
    of(server).fetch(dump, digest, folder / "dump")
    return (folder / "dump").read_bytes()


def test_a_dump_is_what_its_checksum_says_or_is_not_used(tmp_path: Path) -> None:
    with serving_files(published(DAY_ONE, ["1"])) as server:
        assert fetched(server, tmp_path) == server.files[DAY_ONE]
        server.files[DAY_ONE] += b"!"
        with pytest.raises(DownloadError, match=r"BTCUSDT-trades-2024-03-01.zip is damaged, or issued anew"):
            fetched(server, tmp_path)


@pytest.mark.parametrize("text", [b"", b"<html>", b"0" * 64, b"0" * 64 + b"  another.zip\n", b"0" * 63 + b"  x"])
def test_what_is_no_checksum_of_that_file_is_told(text: bytes) -> None:
    with (
        serving_files({**published(DAY_ONE, ["1"]), f"{DAY_ONE}.CHECKSUM": text}) as server,
        pytest.raises(DownloadError, match="is no checksum of that file"),
    ):
        of(server).checksum(Dump(BINANCE, Kind.TRADES, MARCH, MARCH + DAY))


def test_a_checksum_without_its_file_is_told(tmp_path: Path) -> None:
    files = published(DAY_ONE, ["1"])
    del files[DAY_ONE]
    with serving_files(files) as server, pytest.raises(DownloadError, match="is not there, though its checksum is"):
        fetched(server, tmp_path)


@pytest.mark.parametrize("failing", [[503, 429, 500], ["cut"], ["cut", 503]])
def test_a_server_that_is_busy_or_breaks_off_is_asked_again(tmp_path: Path, failing: list[int | str]) -> None:
    with serving_files(published(DAY_ONE, ["1"] * 1000)) as server:
        server.failing = [*failing]
        pauses: list[float] = []
        digest = Downloads(sleep=pauses.append).fetch(f"{server.url}/{DAY_ONE}", tmp_path / "dump")

        assert digest == server.files[f"{DAY_ONE}.CHECKSUM"].split()[0].decode()
        assert pauses == [2.0**attempt for attempt in range(1, len(failing) + 1)]


def test_patience_ends_with_the_servers_last_answer_and_no_query_is_shown(tmp_path: Path) -> None:
    with serving_files({}) as server:
        server.failing = [503] * 6
        with pytest.raises(DownloadError, match=r"/x cannot be had: HTTP 503") as told:
            Downloads(sleep=lambda _: None).fetch(f"{server.url}/x?signature=secret", tmp_path / "x")

    assert "secret" not in str(told.value)


def test_what_is_refused_for_good_is_asked_once(tmp_path: Path) -> None:
    with serving_files({"x": b"1"}) as server:
        server.failing = [403]
        with pytest.raises(DownloadError, match="HTTP 403"):
            Downloads(sleep=lambda _: None).fetch(f"{server.url}/x", tmp_path / "x")

    assert server.asked == ["x"]
