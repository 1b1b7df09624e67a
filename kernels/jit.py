"""Compiles sources to machine code by numba, and keeps the code on disk for other processes.

A source holds no data, only templates of this package. So the key of its code is a hash of the
source, the compiler versions and the processor. The code calls only functions of the C library and
of Python's C API. So a process that finds it on disk loads it with LLVM alone, in milliseconds; to
import and start numba takes most of a second. If the folder cannot be used, the code is compiled
again, and nothing else changes.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import inspect
import os
import re
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelsched._recording import Untraceable
from accelsched.kernels import disk_cache, helpers, scalars

#: Functions of C libraries that LLVM may call in the code of a source.
_MATH = """sin cos sincos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh exp exp2 exp10
expm1 log log1p log2 log10 sqrt pow ldexp erf erfc lgamma fmod floor ceil trunc rint round roundeven
nearbyint fabs fmin fmax"""
_C_FUNCTIONS = {
    *_MATH.split(),
    *(f"{name}f" for name in _MATH.split()),
    *("memcpy", "memmove", "memset", "__divdi3", "__moddi3", "__divti3", "__modti3"),
}
#: Functions of Python's C API that ``group_writer.py`` calls: arguments and result.
_PYTHON_FUNCTIONS = {
    "PyList_GetItem": (("intp", "intp"), "intp"),
    "PyFloat_FromDouble": (("float64",), "intp"),
    "PyObject_SetItem": (("intp", "intp", "intp"), "int32"),
    "Py_DecRef": (("intp",), "void"),
}
_HELPERS = ("near_sine", "sine", "remainder", "floor_divide", "trunc_divide", "integer_power")
_RESULT, _ARGUMENTS = ctypes.c_int64, (ctypes.c_void_p, ctypes.c_void_p)


class Code:
    """The function ``kernel`` of a source, as machine code.

    Args:
        compiled: the result of :func:`_translated`.

    Attributes:
        call: the function, which takes two addresses. It holds the GIL, as releasing it takes
            longer than a step.
        call_unlocked: the same without the GIL, for long work beside other threads.

    Raises:
        ValueError: ``compiled`` is not a result of :func:`_translated`.
        Untraceable: the code calls a function that this platform lacks, or that no source calls.
    """

    def __init__(self, compiled: bytes) -> None:
        import llvmlite.binding as llvm

        names, machine_code = compiled.split(b"\n", 1)
        for name in names.decode("ascii").split():
            _require_symbol(name)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        file = llvm.ObjectFileRef.from_data(machine_code)
        if not file._ptr:  # LLVM could not read it, and would crash below
            raise ValueError("the bytes after the names are no object file")
        self._engine.add_object_file(file)
        self._engine.finalize_object()
        address = self._engine.get_function_address("kernel")
        if not address:
            raise ValueError("the object file has no function kernel")
        self.call: Any = ctypes.PYFUNCTYPE(_RESULT, *_ARGUMENTS)(address)
        self.call_unlocked: Any = ctypes.CFUNCTYPE(_RESULT, *_ARGUMENTS)(address)


#: The machine code of this process by its source.
CODES: dict[str, Code] = {}
# A thread that evaluates takes neither lock. One that loads does not wait for one that compiles,
# except for single calls of LLVM, which has its own lock.
_COMPILING, _LOADING = threading.RLock(), threading.RLock()


def _before_fork() -> None:
    """Wait for all threads to leave numba, LLVM and their imports before a fork.

    The child has none of these threads: their locks, import locks too, would stay held forever.
    """
    _COMPILING.acquire()
    _LOADING.acquire()


def _after_fork() -> None:
    _LOADING.release()
    _COMPILING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )


def compiled(source: str) -> Code:
    """Return the machine code of a source: from this process, from the disk, or compiled now."""
    code = CODES.get(source)
    if code is not None:
        return code
    key = _key(source)
    code = _loaded(disk_cache.read(key))
    if code is None:
        with _COMPILING:
            # Another thread may have compiled it while this one waited.
            code = CODES.get(source) or _made(source, key)
            return CODES.setdefault(source, code)
    return CODES.setdefault(source, code)


def _made(source: str, key: str) -> Code:
    content = _translated(source)
    with _LOADING:
        code = Code(content)
    disk_cache.write(key, content)
    return code


def _loaded(content: bytes | None) -> Code | None:
    """Return the code in a file's content; None if there is none, or the content is damaged."""
    if content is None:
        return None
    try:
        with _LOADING:
            return Code(content)
    except (ValueError, Untraceable):
        return None


def _translated(source: str) -> bytes:
    """Compile a source: return a line with the functions that it calls, and an object file."""
    import math

    import llvmlite.binding as llvm
    import numba
    import numpy as np

    names: dict[str, Any] = {"math": math, "np": np, "NEAR": helpers.NEAR}
    names |= {name: getattr(numba, name) for name in scalars.DTYPES.values()}
    # Compiled together, as one helper calls another.
    exec(compile(inspect.getsource(helpers), helpers.__file__, "exec"), names)
    names |= {name: numba.njit(names[name], error_model="numpy") for name in _HELPERS}
    types = numba.types
    for name, (arguments, result) in _PYTHON_FUNCTIONS.items():
        signature = getattr(types, result)(*(getattr(types, a) for a in arguments))
        names[name] = types.ExternalFunction(name, signature)
    names["select"] = _select()
    exec(compile(source, "<accelsched.kernels>", "exec"), names)
    pointer: Any = types.CPointer
    signature = numba.int64(pointer(numba.int64), pointer(pointer(numba.float64)))
    function = numba.cfunc(signature, error_model="numpy")(names["kernel"])
    module = llvm.parse_assembly(_with_plain_entry(function))
    for item in module.functions:
        if not item.is_declaration and item.name != "kernel":
            item.linkage = "internal"
    words = set(re.findall(r"[A-Za-z_][\w.]*", _machine().emit_assembly(module)))
    declared = {f.name for f in module.functions if f.is_declaration}
    called = words & (_C_FUNCTIONS | {name for name in declared if not name.startswith("llvm.")})
    machine_code: bytes = _machine().emit_object(module)
    return " ".join(sorted(called)).encode() + b"\n" + machine_code


def _select() -> Any:
    """Make ``select(condition, yes, no)`` for sources: it computes both sides, without a branch.

    For each variable that is set in two blocks, numba takes further passes over all code.
    """
    from numba.extending import intrinsic

    @intrinsic
    def select(_: Any, condition: Any, yes: Any, no: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.select(*args)

        return yes(condition, yes, no), code

    return select


def _with_plain_entry(function: Any) -> str:
    """Replace the C entry of a numba cfunc by one without exception handling.

    The code raises no exception, but numba's entry handles them anyway, and needs numba to run.
    """
    text = re.sub(
        r'^define [^\n]*@"?cfunc\..*?^}\n', "", function.inspect_llvm(), flags=re.M | re.S
    )
    native = function.native_name.removeprefix("cfunc.")
    return f"""{text}
define i64 @kernel(ptr %wholes, ptr %frame) {{
  %result = alloca i64
  %error = alloca ptr
  %raised = call i32 @"{native}"(ptr %result, ptr %error, ptr %wholes, ptr %frame)
  %status = load i64, ptr %result
  ret i64 %status
}}
"""


def _require_symbol(name: str) -> None:
    """Give LLVM the address of a function: for an unknown one, it would call address 0.

    Raises:
        Untraceable: this platform has no such function, or no source may call it.
    """
    import llvmlite.binding as llvm

    if name not in _C_FUNCTIONS and name not in _PYTHON_FUNCTIONS:
        raise Untraceable(f"machine code may not call {name}()")
    if llvm.address_of_symbol(name) is not None:
        return
    for library in _c_libraries():
        if hasattr(library, name):
            address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            llvm.add_symbol(name, address)
            return
    raise Untraceable(f"the C library of this platform has no {name}()")


@functools.cache
def _c_libraries() -> list[ctypes.CDLL]:
    names = [None, "libm.so.6", "libgcc_s.so.1", "ucrtbase", "libSystem.dylib"]
    found: list[ctypes.CDLL] = [ctypes.pythonapi]
    for name in names:
        with contextlib.suppress(OSError, TypeError):
            found.append(ctypes.CDLL(name))
    return found


def _machine() -> Any:
    """Return LLVM's target machine for this processor."""
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


def _key(source: str) -> str:
    """Return the name of a source's code on disk: a hash of everything that the code depends on."""
    with _LOADING:
        parts = [*_compiler(), source]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _compiler() -> list[str]:
    import llvmlite.binding as llvm

    compilers = f"numba {version('numba')}, llvmlite {version('llvmlite')}"
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    ours = [Path(file).read_text() for file in (__file__, helpers.__file__)]
    return [compilers, llvm.get_default_triple(), processor, *ours]
