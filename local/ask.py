"""`python -m local ask …`: btc.client against the API of the stack that runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from btc.client.__main__ import main
from local.running import PLACE, NotRunningError, running


def ask(arguments: Sequence[str], place: Path = PLACE) -> int:
    """The command's exit status. Raises NotRunningError where no stack runs and more than its help is asked for."""
    if {"-h", "--help"} & set(arguments):
        return main(arguments)
    try:
        outputs = running(place).outputs
    except NotRunningError as error:
        raise NotRunningError("no local stack runs that could be asked: start one with `make local`") from error
    return main(arguments, {**os.environ, "BTC_API_URL": outputs["ApiUrl"], "BTC_API_KEY": outputs["ApiKey"]})
