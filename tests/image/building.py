"""The ingest image made without a container engine: Debian's buildah over a base made of Debian's packages."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.infra.assembly import ROOT, Json

PACKAGES: Final = ("buildah", "debootstrap")
CACHED: Final = ROOT / "build" / "image" / "base"
RELEASE: Final = "trixie"
"""The one whose Python is Lambda's and the Dockerfile's own base's: 3.13."""
INCLUDED: Final = "python3,python3-pip,ca-certificates"
CERTIFICATES: Final = "/etc/ssl/certs"
MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""A processor as Linux calls it, and as images do."""
OPTIONS: Final = ("--isolation", "chroot", "--format", "docker", "--quiet")
SECRET: Final = re.compile(rb"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----|(?i:secret_access_key|password)\s*=")
SECRET_NAMES: Final = re.compile(
    r"^(\.env.*|\.netrc|\.pgpass|\.aws|\.git|\.docker|\.ssh|pip\.conf|credentials|id_[a-z0-9]+|.*\.(pem|key))$"
)


class ImageError(RuntimeError):
    """The image cannot be made or does not do what it must; the message says what to do, or what is wrong."""


def prepare(user: int) -> None:
    """Have what builds images; installs it where this is Debian and `user` is root. Raises ImageError."""
    if user != 0:
        raise ImageError("only root may make and enter another root: run `sudo make image`, or in a container of yours")
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ImageError(f"{' and '.join(missing)} are needed and there is no apt-get: install them, or use a Debian")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    ran("apt-get", "update", "-qq")
    ran("apt-get", "install", "-qq", "--no-install-recommends", *missing, environment=quiet)


def base() -> Path:
    """The root of a Debian with Python and pip, made once. Raises ImageError."""
    if CACHED.is_dir():
        return CACHED
    part = CACHED.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    ran("debootstrap", "--variant=minbase", f"--include={INCLUDED}", RELEASE, str(part))
    # As in the image it stands for: `python` is there, and pip may install beside Debian's packages.
    (part / "usr/bin/python").symlink_to("python3")
    for marker in part.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    shutil.rmtree(part / "var/cache/apt")
    shutil.rmtree(part / "var/lib/apt/lists")
    part.rename(CACHED)
    return CACHED


@dataclass(frozen=True)
class Built:
    """An image and its files."""

    config: Json
    """As OCI calls it: User, Cmd, Env, Volumes, WorkingDir."""
    root: Path
    base: Path

    def added(self) -> Iterator[Path]:
        """What the Dockerfile put there, relative to the root: all that the base has not."""
        for folder, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = (Path(folder) / name).relative_to(self.root)
                if not os.path.lexists(self.base / path):
                    yield path


def build(context: Path, dockerfile: str, folder: Path) -> Built:
    """Build `dockerfile` over Debian's base, all of it within `folder`. Raises ImageError."""
    storage = _storage(folder)
    (folder / "Base").write_text("FROM scratch\nCOPY . /\n")
    _base(folder, "--tag", "base")
    _dockerfile(folder, context, dockerfile, "--build-arg", "BASE=localhost/base", "--tag", "ingest")
    container = ran(*storage, "from", "localhost/ingest").strip()
    told = ran(*storage, "inspect", container)
    return Built(json.loads(told)["OCIv1"]["config"], Path(ran(*storage, "mount", container).strip()), base())


def build_for_arm(context: Path, dockerfile: str, folder: Path) -> list[str]:
    """The libraries in the image as it is built for ARM on this machine, whatever it is. Raises ImageError.

    The base that calls itself ARM's is this machine's, so that a step which ran a program of it would not be found
    out by that: tests/infra/test_ingestion.py holds that there is none.
    """
    storage, arm = _storage(folder), ("--platform", "linux/arm64")
    for platform in (("--platform", f"linux/{MACHINES[os.uname().machine]}"), arm):
        _base(folder, *platform, "--manifest", "bases")
    _dockerfile(folder, context, dockerfile, *arm, "--build-arg", "BASE=localhost/bases", "--tag", "arm")
    root = Path(ran(*storage, "mount", ran(*storage, "from", *arm, "localhost/arm").strip()).strip())
    return sorted(path.name for path in (root / "packages").rglob("*.so"))


def _storage(folder: Path) -> tuple[str, ...]:
    return ("buildah", "--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs")


def _base(folder: Path, *options: str) -> None:
    ran(*_storage(folder), "build", *OPTIONS, *options, "--file", f"{folder}/Base", str(base()))


def _dockerfile(folder: Path, context: Path, dockerfile: str, *options: str) -> None:
    # Whoever this machine trusts to answer for the package index is trusted there.
    trusted = ("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro")
    place = ("--file", str(context / dockerfile), str(context))
    ran(*_storage(folder), "build", *OPTIONS, *options, *trusted, *place)


def foreign(built: Built, context: Path) -> list[str]:
    """What lies in /app beside the files of `context`, their bytecode, and the lock that the Dockerfile installs; and
    what is a test wherever it is from."""
    wanted = {"requirements.lock"}
    for path in context.rglob("*"):
        name = path.relative_to(context).as_posix().removeprefix("layers/common/python/")
        folder, _, module = name.rpartition("/")
        wanted |= {name, f"{folder}/__pycache__", f"{folder}/__pycache__/{module.removesuffix('.py')}.cpython-313.pyc"}
    there = [path.relative_to("app") for path in built.added() if path.is_relative_to("app") and path != Path("app")]
    tests = {path.as_posix() for path in there if "tests" in path.parts or path.name.startswith("test_")}
    return sorted({path.as_posix() for path in there} - wanted | tests)


def secrets(built: Built) -> list[str]:
    """Files that were added whose name or content is a secret's, and such variables."""
    found = [name for name in built.config["Env"] if re.search(r"(?i)secret|password|token|key", name)]
    for path in built.added():
        whole = built.root / path
        named = SECRET_NAMES.match(path.name) and path.parts[0] != "packages"
        if named or (path.is_relative_to("app") and whole.is_file() and SECRET.search(whole.read_bytes())):
            found.append(str(path))
    return found


def writable(built: Built) -> list[str]:
    """What the Dockerfile added that its user could write even if the root were not read-only."""
    user, _, group = built.config["User"].partition(":")
    found = []
    for path in built.added():
        told = (built.root / path).lstat()
        mine = told.st_mode & 0o200 if told.st_uid == int(user) else told.st_mode & 0o002
        ours = told.st_gid == int(group) and told.st_mode & 0o020
        if (mine or ours) and not (built.root / path).is_symlink():
            found.append(str(path))
    return found


def ran(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """What a program printed. Raises ImageError with its last words where it fails."""
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise ImageError(f"{command[0]} ended with {done.returncode}:\n{last}")
    return done.stdout
