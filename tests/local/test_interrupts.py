"""An interruption is heard even where Python drops the first."""

import os
import signal
from collections.abc import Iterator

import pytest

from local import interrupts


@pytest.fixture(autouse=True)
def heeding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(interrupts, "AGAIN_S", 0.05)
    interrupts.heed()
    yield
    interrupts.heard()
    for number, handler in before.items():
        signal.signal(number, handler)


class Deaf:
    """Is told to stop while it is finalised, where exceptions are dropped."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_that_python_dropped_comes_again():
    Deaf()
    with pytest.raises(KeyboardInterrupt):
        signal.sigtimedwait([], 5)


def test_once_heard_it_is_not_repeated():
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    interrupts.heard()

    assert signal.sigtimedwait([], 0.2) is None
