"""What `make image` finds in an image: the checks alone, over folders in which something is wrong on purpose."""

from pathlib import Path

import pytest

from tests.image.building import Built, ImageError, foreign, prepare, secrets, writable

SOURCES = ("functions/ingest_trades/__main__.py", "layers/common/python/btc/trades.py", "requirements.lock")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name in SOURCES:
        _write(tmp_path / "context" / name)
    return tmp_path / "context"


@pytest.fixture
def built(context: Path, tmp_path: Path) -> Built:
    """A root with the sources in it and their bytecode, over a base with a key of its own."""
    for place in ("base", "root"):
        _write(tmp_path / place / "etc/ssl/base.key")
    for name in SOURCES:
        _write(tmp_path / "root/app" / name.removeprefix("layers/common/python/"))
    _write(tmp_path / "root/app/btc/__pycache__/trades.cpython-313.pyc")
    return Built({"User": "65532:65532", "Env": ["PYTHONUNBUFFERED=1"]}, tmp_path / "root", tmp_path / "base")


def test_an_image_of_the_sources_alone_is_clean(built: Built, context: Path) -> None:
    assert (foreign(built, context), secrets(built), writable(built)) == ([], [], [])


@pytest.mark.parametrize("name", ["README.md", "functions/api/handler.py", "tests/unit/test_bars.py"])
def test_what_is_no_source_of_the_task_is_found(name: str, built: Built, context: Path) -> None:
    _write(built.root / "app" / name)

    assert name in foreign(built, context)


def test_a_test_is_found_even_where_it_is_a_source(built: Built, context: Path) -> None:
    _write(context / "functions/ingest_trades/test_health.py")
    _write(built.root / "app/functions/ingest_trades/test_health.py")

    assert foreign(built, context) == ["functions/ingest_trades/test_health.py"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("app/.env", ""),
        ("root/.netrc", ""),
        ("etc/pip.conf", ""),
        ("app/btc/trades.py", "key = 'AKIA" + "A" * 16 + "'"),
        ("app/requirements.lock", "-----BEGIN " + "PRIVATE KEY-----"),
    ],
)
def test_a_secret_is_found_by_its_name_or_its_content(name: str, content: str, built: Built) -> None:
    _write(built.root / name, content)

    assert name in secrets(built)


def test_a_secret_variable_is_found(built: Built) -> None:
    built.config["Env"].append("API_TOKEN=x")

    assert secrets(built) == ["API_TOKEN=x"]


def test_what_anybody_may_write_is_found(built: Built) -> None:
    (built.root / "app/btc/trades.py").chmod(0o666)
    (built.root / "app/functions").chmod(0o777)

    assert sorted(writable(built)) == ["app/btc/trades.py", "app/functions"]


def test_without_root_the_refusal_says_what_to_do() -> None:
    with pytest.raises(ImageError, match="sudo make image"):
        prepare(user=1000)


def _write(path: Path, content: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o644)
