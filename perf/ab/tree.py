"""Another commit's tree, ready to run."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from perf.record import ROOT, git

NATIVE = ("src/ron_kms/_core.pyx", "src/ron_kms/core", "src/ron_kms/_oqs_build.py", "wheels", "setup.py")
"""What the extension modules are built from."""
MODULES = "src/ron_kms"


class NoTree(Exception):
    """The commit is not there, or cannot be built; the message says which."""


@contextlib.contextmanager
def tree(commit: str) -> Iterator[Path]:
    """A work tree of this commit in a folder that is thrown away, with extension modules: this tree's where they are
    built from the same sources, else built, which takes a minute or two.

    :raises NoTree: it is not to be had.
    """
    if not git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        raise NoTree(f"{commit}: there is no such commit here")
    with tempfile.TemporaryDirectory(prefix="ron-kms-ab-") as folder:
        path = Path(folder) / "tree"
        _run("git", "worktree", "add", "--quiet", "--detach", str(path), commit, folder=ROOT)
        try:
            if same_native(commit):
                for module in (ROOT / MODULES).glob("*.so"):
                    shutil.copy(module, path / MODULES)
            else:
                _run(sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", folder=path)
            yield path
        finally:
            _run("git", "worktree", "remove", "--force", str(path), folder=ROOT)


def same_native(commit: str) -> bool:
    """What is built here would be built there."""
    command = ["git", "diff", "--quiet", commit, "--", *NATIVE]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoTree(f"{' '.join(command[:3])} failed:\n{done.stderr.strip()}")
