"""Make the sdist and the wheel that are released, and prove them: run by ``make wheel``.

The wheel is built from the sdist, repaired and audited, and the whole test suite runs against it where it is installed:
in an environment and a folder that have never seen the source tree. What passes lies in ``dist/``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"

IN_SDIST = (
    "LICENSE",
    "README.md",
    "setup.py",
    "src/ron_kms/_core.pyi",
    "src/ron_kms/_core.pyx",
    "src/ron_kms/core/native.pxi",
    "src/ron_kms/py.typed",
    "src/ron_kms/store/migrations/env.py",
    "tests/conftest.py",
    "wheels/build_liboqs.py",
    "wheels/liboqs/Cargo.lock",
    "wheels/liboqs/Cargo.toml",
    "wheels/liboqs/lib.rs",
)
IN_WHEEL = (
    "ron_kms/_core.abi3.so",
    "ron_kms/_core.pyi",
    "ron_kms/_oqs.abi3.so",
    "ron_kms/py.typed",
    "ron_kms/store/migrations/env.py",
)
SOURCES_ONLY = (".pyx", ".pxi", ".c", ".h", ".a")


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="ron-kms-wheel-") as folder:
        Path(folder).chmod(0o755)  # some tests run as a user without privileges
        scratch = Path(folder)
        sdist = make_sdist()
        built = make_wheel(sdist, scratch)
        wheel = repair(built)
        run("abi3audit", "--strict", "--summary", wheel)
        test(wheel, scratch)
    say(f"dist/{sdist.name} and dist/{wheel.name} are good")


def make_sdist() -> Path:
    say("sdist")
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", DIST, ROOT, quiet=True)
    (sdist,) = DIST.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expect(sdist, IN_SDIST, names)
    return sdist


def make_wheel(sdist: Path, scratch: Path) -> Path:
    say("wheel from the sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch / "unpacked", filter="data")
    (source,) = (scratch / "unpacked").iterdir()
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", scratch / "built", source, quiet=True)
    (wheel,) = (scratch / "built").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expect(wheel, IN_WHEEL, names)
    if stray := sorted(name for name in names if name.endswith(SOURCES_ONLY)):
        raise SystemExit(f"{wheel.name} has what only a source distribution should have: {', '.join(stray)}")
    return wheel


def repair(built: Path) -> Path:
    """Give the wheel its manylinux name and drop debug symbols; nothing is copied in, for libsodium is the system's."""
    say("repair")
    run("auditwheel", "repair", "--strip", "--wheel-dir", DIST, built)
    (wheel,) = DIST.glob("*.whl")
    return wheel


def test(wheel: Path, scratch: Path) -> None:
    say("tests against the installed wheel")
    run(sys.executable, "-m", "venv", scratch / "env")
    python = scratch / "env" / "bin" / "python"
    locked = (python, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps")
    run(*locked, "-r", ROOT / "requirements" / "build.lock")
    run(*locked, "--use-pep517", "--no-build-isolation", "-r", ROOT / "requirements" / "dev.lock")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)

    away = scratch / "away"
    shutil.copytree(ROOT / "tests", away / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", away)
    where = "import ron_kms, sys; sys.exit('site-packages' not in ron_kms.__file__)"
    run(python, "-c", where, cwd=away)
    run(python, "-m", "pytest", "-n", "2", cwd=away)


def expect(archive: Path, wanted: Iterable[str], names: set[str]) -> None:
    if missing := [name for name in wanted if name not in names]:
        raise SystemExit(f"{archive.name} lacks {', '.join(missing)}")


def run(*command: str | Path, cwd: Path = ROOT, quiet: bool = False) -> None:
    """Run one command with this environment's tools first on the path; stop at its failure."""
    output = subprocess.DEVNULL if quiet else None
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    words = [str(word) for word in command]
    if subprocess.run(words, cwd=cwd, env=environment, stdout=output, check=False).returncode != 0:
        raise SystemExit(f"failed: {' '.join(words)}")


def say(text: str) -> None:
    print(f"--- {text}", flush=True)


if __name__ == "__main__":
    main()
