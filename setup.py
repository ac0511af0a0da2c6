"""The two extension modules; everything else about the package is in pyproject.toml.

Both are abi3 for CPython 3.11: one wheel a platform serves every later version.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("src/ron_kms")
LINUX = sys.platform == "linux"

HARDEN = ["-fvisibility=hidden", "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
LINK = ["-pthread", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"] if LINUX else []


class BuildExtensions(build_ext):
    """Gives ``ron_kms._oqs`` its C source and liboqs when it is built, so that metadata and sdists need neither."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.cython_c_in_temp = True

    def build_extension(self, ext: Extension) -> None:
        if ext.name == "ron_kms._oqs":
            liboqs = runpy.run_path("wheels/build_liboqs.py")["find"]()
            source = Path(self.build_temp) / "_oqs.c"
            source.parent.mkdir(parents=True, exist_ok=True)
            runpy.run_path(str(SOURCES / "_oqs_build.py"))["builder"]().emit_c_code(str(source))
            ext.sources = [str(source)]
            ext.include_dirs = [str(liboqs.include)]
            ext.extra_objects = [str(liboqs.archive)]
        super().build_extension(ext)


def extension(name: str, **options: Any) -> Extension:
    return Extension(
        f"ron_kms.{name}",
        define_macros=[("Py_LIMITED_API", "0x030B0000")],
        py_limited_api=True,
        extra_compile_args=HARDEN,
        **options,
    )


setup(
    ext_modules=[
        extension(
            "_core",
            sources=[str(SOURCES / "_core.pyx")],
            depends=sorted(map(str, SOURCES.glob("core/*.px[id]"))),
            extra_link_args=LINK,
        ),
        extension(
            "_oqs",
            sources=[],
            depends=[str(SOURCES / "_oqs_build.py"), "wheels/liboqs/Cargo.lock"],
            # liboqs stays inside: none of its symbols can be taken or replaced by another library of the process.
            extra_link_args=[*LINK, "-Wl,--exclude-libs,ALL" if LINUX else "-Wl,-exported_symbol,_PyInit__oqs"],
        ),
    ],
    cmdclass={"build_ext": BuildExtensions},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
