"""An image's program as Fargate runs it: its user, its own processes, a read-only root, and the volumes of its task.

Namespaces and mounts are made by util-linux alone: Debian's crun refuses machines whose control groups are of two
kinds, and what it would add to this, limits of memory and time, is not looked at here.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.image.building import Built, ImageError
from tests.infra.assembly import Json

ENTER: Final = """
root=$1; shift
user=$1; shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o nosuid,mode=755 tmpfs "$root/dev"
for device in null zero urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -o remount,ro "$root/dev"
while [ "$1" != -- ]; do mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root$1"; shift; done
shift
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
"""
"""A folder that is mounted gets the rights that it has in the image; VOLUME has Fargate do the same."""
CLEAN: Final = ("/usr/bin/env", "-i")


class Container:
    """The program of a task definition's one container, running."""

    def __init__(self, built: Built, task: Json, environment: Mapping[str, str], log: Path) -> None:
        [self._told] = task["ContainerDefinitions"]
        self._built = built
        self._environment = [*built.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        if not self._told["ReadonlyRootFilesystem"]:
            raise ImageError("the task definition lets its container write its root")
        volumes = [mount["ContainerPath"] for mount in self._told["MountPoints"] if not mount["ReadOnly"]]
        if undeclared := set(volumes) - set(built.config.get("Volumes") or {}):
            raise ImageError(f"{', '.join(undeclared)}: no VOLUME of the image, so root's alone on Fargate")
        command = self._told.get("Command") or built.config["Cmd"]
        with log.open("wb") as lines:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
                    *("bash", "-euc", ENTER, "enter", str(built.root), built.config["User"], *volumes, "--"),
                    *self._in_place(command),
                ],
                stdout=lines,
                stderr=lines,
            )
        self._log = log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()  # the container's processes go with it
        self._process.wait()

    def _in_place(self, command: Sequence[str]) -> list[str]:
        folder = self._built.config["WorkingDir"]
        return [*CLEAN, f"--chdir={folder}", *self._environment, *command]

    @property
    def _pid(self) -> int:
        """The container's first process, as this machine numbers it."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            raise ImageError(f"the container has ended:\n{self.log()}")
        return int(children[0])

    def log(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def check(self) -> None:
        """Raises ImageError where it has ended."""
        if self._process.poll() is not None:
            raise ImageError(f"the container ended with {self._process.returncode}:\n{self.log()}")

    def status(self, field: str) -> list[str]:
        """A line of the first process's /proc status."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(line.split()[1:] for line in lines if line.startswith(f"{field}:"))

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another program in it, as `aws ecs execute-command` and a health check do."""
        user, _, group = self._built.config["User"].partition(":")
        entering = ["nsenter", f"--target={self._pid}", "--mount", "--pid", "--ipc", "--uts", "--root"]
        entering += [f"--setuid={user}", f"--setgid={group}"]
        return subprocess.run([*entering, *self._in_place(command)], capture_output=True, text=True, check=False)

    def healthy(self) -> bool:
        """As the task definition has ECS ask."""
        kind, *command = self._told["HealthCheck"]["Command"]
        assert kind == "CMD"
        return self.ask(*command).returncode == 0

    def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit status, and the seconds it took. Raises ImageError where ECS would have killed it."""
        began = time.monotonic()
        os.kill(self._pid, signal.SIGTERM)
        try:
            status = self._process.wait(self._told["StopTimeout"])
        except subprocess.TimeoutExpired as error:
            raise ImageError(f"it did not stop within {self._told['StopTimeout']} s") from error
        return status, time.monotonic() - began


def environment_of(task: Json, told: Mapping[str, str]) -> dict[str, str]:
    """The names that the task definition sets, with `told`'s values where it has them, and what AWS itself adds."""
    [container] = task["ContainerDefinitions"]
    set_there: dict[str, Any] = {each["Name"]: each["Value"] for each in container["Environment"]}
    plain = {name: value for name, value in set_there.items() if isinstance(value, str)}
    if unknown := set(set_there) - set(plain) - set(told):
        raise ImageError(f"nobody here says what {', '.join(sorted(unknown))} is")
    return {**plain, **told}
