"""Tools that cannot share this project's environment: each in one of its own, made when it is first needed."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

BUILD: Final = Path(__file__).parents[1] / "build" / "tools"


class NotInstalledError(RuntimeError):
    """A tool cannot be had on this machine; the message says why."""


def interpreter(lock: Path) -> Path:
    """The Python that has what the lock file names, with its hashes. Raises NotInstalledError."""
    place = BUILD / lock.stem
    python, installed = place / "bin" / "python", place / "installed.lock"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        _uv(lock.stem, "venv", "--clear", "--python", sys.executable, str(place))
        _uv(lock.stem, "pip", "sync", "--require-hashes", "--python", str(python), str(lock))
        installed.write_bytes(lock.read_bytes())
    return python


def program(lock: Path, name: str) -> Path:
    """One of the programs that come with it. Raises NotInstalledError."""
    return interpreter(lock).with_name(name)


def _uv(tool: str, *arguments: str) -> None:
    command: Sequence[str] = [str(Path(sys.executable).with_name("uv")), *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        cause = next((line.strip(" ×╰─▶│") for line in done.stderr.splitlines() if line.strip()), "no reason given")
        raise NotInstalledError(f"{tool} is not installed here: {cause}")


if __name__ == "__main__":  # python -m tests.virtualenvs LOCK PROGRAM ARGUMENT…
    lock, name, *rest = sys.argv[1:]
    sys.exit(subprocess.run([str(program(Path(lock), name)), *rest], check=False).returncode)
