"""Sources compiled by numba to machine code, which is kept on disk from process to process.

A source holds no data, only templates of this package, so its hash tells all about it; with the
versions of what compiles it and the processor, that is the key. The code calls nothing but the C
library's functions, so a process that finds it on disk loads it with LLVM alone, in milliseconds,
where importing and starting numba takes most of a second. A folder that cannot be used costs the
time to compile again, and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import inspect
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelsched.kernels import helpers, scalars

_HELPERS = ("near_sine", "sine", "remainder", "floor_divide", "trunc_divide", "integer_power")
_RESULT, _ARGUMENTS = ctypes.c_int64, (ctypes.c_void_p, ctypes.c_void_p)


class Code:
    """The function ``kernel`` of a source, as machine code.

    Attributes:
        call: the function of two addresses. It keeps the interpreter's lock, as letting go of
            it takes longer than a step.
        call_unlocked: the same for long work, in which other threads go on.
    """

    def __init__(self, machine_code: bytes) -> None:
        import llvmlite.binding as llvm

        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
        self._engine.finalize_object()
        address = self._engine.get_function_address("kernel")
        self.call: Any = ctypes.PYFUNCTYPE(_RESULT, *_ARGUMENTS)(address)
        self.call_unlocked: Any = ctypes.CFUNCTYPE(_RESULT, *_ARGUMENTS)(address)


@functools.cache
def compiled(source: str) -> Code:
    """The machine code of a source: of this process, from the disk, or made now."""
    folder = _folder()
    path = None if folder is None else folder / f"{_key(source)}.o"
    machine_code = None if path is None else _read(path)
    if machine_code is None:
        machine_code = _translated(source)
        if path is not None:
            _write(path, machine_code)
    return Code(machine_code)


def _translated(source: str) -> bytes:
    """The source as an object file with one function, ``kernel``."""
    import math

    import llvmlite.binding as llvm
    import numba
    import numpy as np

    names: dict[str, Any] = {"math": math, "np": np, "NEAR": helpers.NEAR}
    names |= {name: getattr(numba, name) for name in scalars.DTYPES.values()}
    # Compiled together, as one of them calls another.
    exec(compile(inspect.getsource(helpers), helpers.__file__, "exec"), names)
    names |= {name: numba.njit(names[name], error_model="numpy") for name in _HELPERS}
    exec(compile(source, "<accelsched.kernels>", "exec"), names)
    pointer: Any = numba.types.CPointer
    signature = numba.int64(pointer(numba.int64), pointer(pointer(numba.float64)))
    function = numba.cfunc(signature, error_model="numpy")(names["kernel"])
    module = llvm.parse_assembly(function.inspect_llvm())
    defined = [f for f in module.functions if not f.is_declaration]
    for item in defined:
        item.linkage = "internal"
    (entry,) = (item for item in defined if item.name == function.native_name)
    entry.linkage, entry.name = "external", "kernel"
    machine_code: bytes = _machine().emit_object(module)
    return machine_code


def _machine() -> Any:
    """This processor, as LLVM compiles for it."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )


# On disk.


def _key(source: str) -> str:
    import llvmlite.binding as llvm

    compilers = f"numba {version('numba')}, llvmlite {version('llvmlite')}"
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    parts = [compilers, llvm.get_default_triple(), processor, inspect.getsource(helpers), source]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _folder() -> Path | None:
    """The folder for machine code; None if there is none that is the user's own and writable."""
    given = os.environ.get("ACCELSCHED_CACHE_DIR")
    try:
        folder = Path(given) if given else _user_cache() / "accelsched"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What is in it is run, so it must not be for others to write to.
        if hasattr(os, "getuid"):
            about = folder.stat()
            if about.st_uid != os.getuid() or about.st_mode & 0o022:
                return None
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return folder


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _read(path: Path) -> bytes | None:
    """The code in a file; None if there is none, or not all of it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, machine_code = content[:32], content[32:]
    return machine_code if hashlib.sha256(machine_code).digest() == digest else None


def _write(path: Path, machine_code: bytes) -> None:
    """The code in a file, which is there whole or not at all, whoever else writes it."""
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(machine_code).digest() + machine_code)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
