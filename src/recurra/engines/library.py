"""The native library: finding it, loading it, choosing its instruction set."""

import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_float, c_int32, c_int64
from functools import cache
from pathlib import Path

KERNELS_VERSION = 5
INSTRUCTION_SETS = ("v4", "v3", "baseline")

_floats = POINTER(c_float)


class NativeLibraryError(ImportError):
    """The native library is missing, does not fit this version of recurra, or cannot run on this processor."""


class Operand(Structure):
    """`rc_operand` of csrc/kernels.h."""

    _fields_ = (("p", _floats), ("stride", c_int64), ("scalar", c_int32), ("exact", c_int32))


class Instruction(Structure):
    """`rc_instruction` of csrc/kernels.h."""

    _fields_ = tuple((name, c_int32) for name in ("op", "width", "dst", "a", "b", "c", "over"))


class Kernels(Structure):
    """`rc_kernels` of csrc/kernels.h: the table of functions of one instruction set."""

    _fields_ = (
        ("name", c_char_p),
        ("panel", c_int32),
        ("packed_size", CFUNCTYPE(c_int64, c_int64, c_int64)),
        ("pack", CFUNCTYPE(None, c_int64, c_int64, _floats, c_int64, c_int64, _floats, *[c_int64] * 4)),
        (
            "gemm",
            CFUNCTYPE(
                None, c_int64, c_int64, c_int64, _floats, c_int64, _floats, _floats, c_int64, _floats, c_int64
            ),
        ),
        (
            "gemm_tn",
            CFUNCTYPE(
                None, *[c_int64] * 4, POINTER(c_int64), _floats, c_int64, c_int64, _floats, c_int64, c_int64, _floats,
                c_int64, _floats, c_int32, _floats,
            ),
        ),
        ("gemm_tn_scratch", CFUNCTYPE(c_int64, c_int64, c_int64)),
        ("tape", CFUNCTYPE(None, POINTER(Instruction), c_int32, POINTER(Operand), c_int32)),
        ("burn", CFUNCTYPE(c_double, c_int64, _floats)),
    )  # fmt: skip


def find() -> Path:
    """Path of the native library: the file named by the environment variable RECURRA_LIBRARY, else the installed one.

    Raises NativeLibraryError if there is none.
    """
    named = os.environ.get("RECURRA_LIBRARY")
    if named:
        candidates = [Path(named)]
    else:
        import recurra

        # An editable install keeps the Python files in src/ and the library in site-packages: both are in __path__.
        candidates = [Path(folder) / "_native" / "librecurra.so" for folder in recurra.__path__]
    for path in candidates:
        if path.is_file():
            return path
    looked = ", ".join(str(path) for path in candidates)
    raise NativeLibraryError(
        f"the native library was not found (looked for {looked}); "
        "install recurra with `pip install .` or `pip install -e .`, which builds it"
    )


@cache
def load() -> ctypes.CDLL:
    """The native library, loaded once.

    torch is imported first, so that the library finds torch's libgomp already there and shares its threads.
    Raises NativeLibraryError if the library is missing or was built from other sources than these Python files.
    """
    import torch  # noqa: F401  # pyright: ignore[reportUnusedImport]

    path = find()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeLibraryError(
            f"the native library {path} cannot be loaded ({error}); install recurra anew"
        ) from error
    try:
        found = int(library.rc_kernels_version())
    except AttributeError:
        found = 0
    if found != KERNELS_VERSION:
        raise NativeLibraryError(
            f"the native library {path} has version {found} of its kernels, expected {KERNELS_VERSION}; "
            "build it anew with `pip install .` or `pip install -e .`"
        )
    library.rc_choose_kernels.restype = POINTER(Kernels)
    library.rc_choose_kernels.argtypes = [c_char_p]
    return library


def obstacle() -> str | None:
    """Why the native library cannot be used here, or None.

    Raises NativeLibraryError where an environment variable names a library or an instruction set that cannot be had:
    another engine in its place is not what was asked for.
    """
    try:
        load()
        kernels()
    except NativeLibraryError as error:
        if os.environ.get("RECURRA_LIBRARY") or os.environ.get("RECURRA_ISA"):
            raise
        return str(error)
    return None


def available() -> list[str]:
    """Instruction sets of the library that this processor can run, best first: of "v4", "v3", "baseline"."""
    library = load()
    return [name for name in INSTRUCTION_SETS if library.rc_choose_kernels(name.encode())]


def kernels(instruction_set: str | None = None) -> Kernels:
    """The table of functions of an instruction set ("v4", "v3", "baseline").

    None takes the one named by the environment variable RECURRA_ISA, else the best this processor can run.
    Raises NativeLibraryError if it is unknown, or if this processor cannot run it.
    """
    name = instruction_set if instruction_set is not None else os.environ.get("RECURRA_ISA", "")
    table = load().rc_choose_kernels(name.encode())
    if not table:
        origin = "" if instruction_set is not None else " (from the environment variable RECURRA_ISA)"
        raise NativeLibraryError(
            f"the instruction set {name!r}{origin} cannot be used; on this processor choose one of "
            + ", ".join(available())
        )
    return table.contents
