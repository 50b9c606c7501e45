"""The pointwise instructions of every instruction set, against numpy in float64."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from recurra.engines import library
from recurra.engines.emit import Op

Array = NDArray[np.float32]
LANE = 16
GUARD = np.float32(12345.678)
POISON = np.float32(np.nan)

# The value in float64, and where roundings of intermediate results show, the sum of magnitudes they are relative to.
ARITHMETIC: dict[str, Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]] = {
    "copy": lambda a: (a, abs(a)),
    "add": lambda a, b: (a + b, abs(a + b)),
    "sub": lambda a, b: (a - b, abs(a - b)),
    "mul": lambda a, b: (a * b, abs(a * b)),
    "div": lambda a, b: (a / b, abs(a / b)),
    "fma": lambda a, b, c: (a * b + c, abs(a * b) + abs(c)),
    "fnma": lambda a, b, c: (c - a * b, abs(a * b) + abs(c)),
    "relu": lambda a: (np.maximum(a, 0), abs(a)),
    "abs": lambda a: (abs(a), abs(a)),
    "sqrt": lambda a: (np.sqrt(abs(a)), np.sqrt(abs(a))),
    "maximum": lambda a, b: (np.maximum(a, b), abs(a)),
    "minimum": lambda a, b: (np.minimum(a, b), abs(a)),
    "greater": lambda a, b: ((a > b).astype(np.float64), abs(a)),
    "select": lambda a, b, c: (np.where(a != 0, b, c), abs(b)),
    "dsigmoid": lambda a, b: (a * b * (1 - b), abs(a) * (abs(b) + b * b)),
    "dtanh": lambda a, b: (a * (1 - b * b), abs(a) * (1 + b * b)),
}
# The function in float64, and its stated bound in units in the last place.
FUNCTIONS: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "sigmoid": (lambda x: np.where(x < 0, np.exp(-abs(x)), 1) / (1 + np.exp(-abs(x))), 3.0),
    "tanh": (np.tanh, 3.5),
    "exp": (np.exp, 1.5),
    "log": (np.log, 1.0),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))), 3.5),
}


@pytest.fixture(params=library.available())
def kernels(request: pytest.FixtureRequest) -> library.Kernels:
    return library.kernels(request.param)


@dataclass
class Place:
    """Rows of one operand inside a larger buffer that is poisoned around them."""

    kind: str  # "owned": padded; "exact"; "shared": one row for all; "scalar": one float a row; "constant": one float
    values: Array  # [R, W] as the operation sees them
    fill: np.float32 = POISON
    buffer: Array = field(init=False)
    operand: library.Operand = field(init=False)

    def __post_init__(self) -> None:
        rows, width = self.values.shape
        scalar = self.kind in ("scalar", "constant")
        stride = 1 if scalar else width if self.kind == "exact" else -(-width // LANE) * LANE
        self.buffer = np.full(rows * stride + 3 * LANE, self.fill)
        start = (-self.buffer.ctypes.data % 64) // 4 + (3 if self.kind == "exact" or scalar else 0)
        self.shape = (rows, stride)
        self.start = start
        self.view[:, : 1 if scalar else width] = self.values[:, :1] if scalar else self.values
        if self.kind in ("shared", "constant"):
            stride = 0
        address = ctypes.c_void_p(self.buffer.ctypes.data + 4 * start)
        floats = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
        self.operand = library.Operand(floats, stride, int(scalar), int(self.kind == "exact"))

    @property
    def view(self) -> Array:
        rows, stride = self.shape
        return self.buffer[self.start : self.start + rows * stride].reshape(rows, stride)

    def untouched_around(self, width: int) -> bool:
        """Whether everything but the operand's own floats (and an owned row's padding) is as it was."""
        rest = self.buffer.copy()
        rows, stride = self.shape
        rest[self.start : self.start + rows * stride] = self.fill
        gap = self.view[:, width:] if self.kind == "scalar" else np.empty(0)
        return bool((rest == self.fill).all() and (gap == self.fill).all())


def place(rng: np.random.Generator, kind: str, rows: int, width: int) -> Place:
    values = rng.standard_normal((rows, width)).astype(np.float32)
    values[rng.random((rows, width)) < 0.1] = 0  # so that comparisons and selections meet both sides
    if kind in ("shared", "constant"):
        values[:] = values[:1]
    if kind in ("scalar", "constant"):
        values[:] = values[:, :1]
    return Place(kind, values)


def run(kernels: library.Kernels, op: str, places: list[Place | None], width: int, rows: int) -> None:
    """places: dst, then a, b, c where the operation takes them."""
    table = [one.operand for one in places if one is not None]
    present = iter(range(len(table)))
    index = [-1 if one is None else next(present) for one in places]
    index += [-1] * (4 - len(index))
    code = library.Instruction(Op[op.upper()], width, *index)
    kernels.tape(ctypes.pointer(code), 1, (library.Operand * len(table))(*table), rows)


def apply(kernels: library.Kernels, op: str, *arguments: Array) -> Array:
    """The operation over one row."""
    width = len(arguments[0])
    dst = Place("exact", np.zeros((1, width), np.float32), GUARD)
    run(kernels, op, [dst, *(Place("exact", x[None].astype(np.float32)) for x in arguments)], width, 1)
    return dst.view[0].copy()


@pytest.mark.parametrize("op", ARITHMETIC)
def test_arithmetic_equals_numpy(kernels: library.Kernels, op: str) -> None:
    rng = np.random.default_rng(len(op))
    count = ARITHMETIC[op].__code__.co_argcount
    kinds = ("owned", "exact", "shared", "scalar", "constant")
    for width in (1, 5, 15, 16, 17, 63, 200):
        for case in range(12):
            rows = (1, 2, 7)[case % 3]
            dst_kinds = ("owned", "exact", "scalar") if width == 1 else ("owned", "exact")
            dst = Place(dst_kinds[case % len(dst_kinds)], np.zeros((rows, width), np.float32), GUARD)
            sources = [place(rng, str(rng.choice(kinds)), rows, width) for _ in range(count)]
            if op == "sqrt":
                sources[0] = Place(sources[0].kind, abs(sources[0].values))
            with np.errstate(all="ignore"):
                expected, magnitude = ARITHMETIC[op](*(source.values.astype(np.float64) for source in sources))
            run(kernels, op, [dst, *sources], width, rows)
            with np.errstate(all="ignore"):
                close = abs(dst.view[:, :width] - expected) <= 2.0**-22 * magnitude + 1e-44
            found = dst.view[:, :width]
            assert (close | (np.isnan(found) & np.isnan(expected)) | (found == expected)).all()
            assert dst.untouched_around(width)


@pytest.mark.parametrize("op", ["sigmoid", "tanh", "dsigmoid", "dtanh"])
def test_an_operand_more_is_an_instruction_less(kernels: library.Kernels, op: str) -> None:
    rng = np.random.default_rng(len(op))
    kinds = ("owned", "exact", "shared", "scalar", "constant")
    derivative = op.startswith("d")
    for width in (1, 5, 15, 16, 17, 63, 200):
        for rows in (1, 2, 7):
            sources = [place(rng, str(rng.choice(kinds)), rows, width) for _ in range(3 if derivative else 2)]
            dst, inner, expected = (Place("exact", np.zeros((rows, width), np.float32), GUARD) for _ in range(3))
            run(kernels, op, [dst, *sources], width, rows)
            run(kernels, "mul" if derivative else "add", [inner, sources[0], sources[-1]], width, rows)
            run(kernels, op, [expected, inner, *sources[1:-1]], width, rows)
            assert np.array_equal(dst.view, expected.view, equal_nan=True)
            assert dst.untouched_around(width)


@pytest.mark.parametrize("op", ["row_sum", "row_dot"])
def test_reductions_equal_numpy(kernels: library.Kernels, op: str) -> None:
    rng = np.random.default_rng(9)
    for width in (1, 5, 15, 16, 17, 63, 200):
        for kind in ("owned", "exact"):
            for offset in (None, place(rng, "scalar", 5, 1)):
                sources = [place(rng, kind, 5, width) for _ in range(2)]
                a, b = (source.values.astype(np.float64) for source in sources)
                terms = a * b if op == "row_dot" else a
                dst = Place("scalar", np.zeros((5, 1), np.float32), GUARD)
                run(kernels, op, [dst, sources[0], sources[1] if op == "row_dot" else None, offset], width, 5)
                start = 0 if offset is None else offset.values[:, 0]
                bound = 2.0**-23 * (width + 2) * (abs(terms).sum(1) + abs(start))
                assert (abs(dst.view[:, 0] - terms.sum(1) - start) <= bound).all()
                assert dst.untouched_around(1)


@pytest.mark.parametrize("op", ["source_max", "source_sum", "source_dot"])
def test_reductions_over_sources_equal_numpy(kernels: library.Kernels, op: str) -> None:
    rng = np.random.default_rng(len(op))
    kinds = ("owned", "exact", "shared", "scalar", "constant")
    for width in (1, 5, 15, 16, 17, 63, 64, 200):
        for rows in (1, 2, 15, 16, 33):
            sources = [place(rng, str(rng.choice(kinds)), rows, width) for _ in range(1 + (op == "source_dot"))]
            values = [source.values.astype(np.float64) for source in sources]
            terms = np.prod(values, axis=0)
            expected = terms.max(0) if op == "source_max" else terms.sum(0)
            dst = Place("exact", np.zeros((1, width), np.float32), GUARD)
            run(kernels, op, [dst, *sources], width, rows)
            assert (abs(dst.view[0] - expected) <= 2.0**-23 * (rows + 2) * abs(terms).sum(0)).all()
            assert dst.untouched_around(width)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_functions_keep_their_error_bound(kernels: library.Kernels, op: str) -> None:
    function, bound = FUNCTIONS[op]
    every = np.arange(0, 2**32, 40009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = np.random.default_rng(10).standard_normal(100_000).astype(np.float32) * 4
    x = np.concatenate([every[np.isfinite(every)], usual])
    x = x[x > 0] if op == "log" else x
    with np.errstate(all="ignore"):
        exact = function(x.astype(np.float64))
        rounded = exact.astype(np.float32)
    found = apply(kernels, op, x)
    infinite = np.isinf(rounded)
    assert (found[infinite] == rounded[infinite]).all()
    _, exponent = np.frexp(abs(exact))
    place_value = np.ldexp(1.0, np.maximum(exponent, -125) - 24)  # of the last bit; a constant below the normal range
    error = abs(found[~infinite].astype(np.float64) - exact[~infinite]) / place_value[~infinite]
    assert error.max() <= bound
    assert abs(found).max() <= 1 or op not in ("sigmoid", "tanh")


def test_functions_at_their_limits(kernels: library.Kernels) -> None:
    inf, nan = np.inf, np.nan
    limits = {
        "sigmoid": [(-inf, 0), (inf, 1), (0, 0.5)],
        "tanh": [(-inf, -1), (inf, 1), (0, 0), (-0.0, -0.0), (1e-30, 1e-30), (-1e-40, -1e-40)],
        "exp": [(-inf, 0), (inf, inf), (0, 1), (88.8, inf), (-200, 0)],
        "log": [(0, -inf), (inf, inf), (1, 0), (-1, nan), (-inf, nan)],
        "softplus": [(-inf, 0), (inf, inf), (100, 100)],
        "sqrt": [(0, 0), (inf, inf), (4, 2), (-1, nan)],
        "relu": [(-inf, 0), (inf, inf)],
        "abs": [(-inf, inf), (-0.0, 0)],
    }
    for op, pairs in limits.items():
        x, expected = np.array([*pairs, (nan, nan)], dtype=np.float32).T
        np.testing.assert_array_equal(apply(kernels, op, x), expected, err_msg=op)
        assert (np.signbit(apply(kernels, op, x)) == np.signbit(expected))[:-1].all() or op in ("log", "sqrt"), op


def test_comparisons_treat_nan_as_torch_does(kernels: library.Kernels) -> None:
    nan = np.nan
    a, b, c = np.array([nan, 1, nan, 2, 0], "f"), np.array([1, nan, nan, 1, 3], "f"), np.array([7, 8, 9, 10, 11], "f")
    np.testing.assert_array_equal(apply(kernels, "maximum", a, b), [nan, nan, nan, 2, 3])
    np.testing.assert_array_equal(apply(kernels, "minimum", a, b), [nan, nan, nan, 1, 0])
    np.testing.assert_array_equal(apply(kernels, "greater", a, b), [0, 0, 0, 1, 0])
    np.testing.assert_array_equal(apply(kernels, "select", a, b, c), [1, nan, nan, 1, 11])


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_the_result_may_replace_an_operand(kernels: library.Kernels, slot: int) -> None:
    rng = np.random.default_rng(11)
    sources = [place(rng, "owned", 4, 63) for _ in range(3)]
    a, b, c = (source.values.astype(np.float64) for source in sources)
    run(kernels, "fma", [sources[slot], *sources], 63, 4)
    np.testing.assert_allclose(sources[slot].view[:, :63], a * b + c, rtol=0, atol=2e-6)


def test_instructions_run_in_order_and_rows_do_not_touch(kernels: library.Kernels) -> None:
    """An LSTM step as a tape: five instructions over seven rows, the same row by row."""
    rng = np.random.default_rng(12)
    names = ("i", "f", "g", "c")
    width, rows = 63, 7
    table = {name: place(rng, "owned", rows, width) for name in names}
    i, f, g, c = (table[name].values.astype(np.float64) for name in names)
    single = {name: table[name].buffer.copy() for name in names}
    steps = [("sigmoid", 0, 0), ("sigmoid", 1, 1), ("tanh", 2, 2), ("mul", 3, 1, 3), ("fma", 3, 0, 2, 3)]
    code = [library.Instruction(Op[op.upper()], width, *index, *[-1] * (4 - len(index))) for op, *index in steps]
    program = (library.Instruction * len(code))(*code)
    operands = (library.Operand * 4)(*(table[name].operand for name in names))
    kernels.tape(program, len(code), operands, rows)
    sigmoid = FUNCTIONS["sigmoid"][0]
    expected = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    together = table["c"].view[:, :width].copy()
    np.testing.assert_allclose(together, expected, rtol=0, atol=1e-6)
    for name in names:
        table[name].buffer[:] = single[name]
    for row in range(rows):
        for name, operand in zip(names, operands, strict=True):
            address = ctypes.c_void_p(table[name].view[row].ctypes.data)
            operand.p = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
        kernels.tape(program, len(code), operands, 1)
    assert table["c"].view[:, :width].tobytes() == together.tobytes()


def test_instruction_sets_agree() -> None:
    x = np.linspace(-12, 12, 4001, dtype=np.float32)
    for op, (_, bound) in FUNCTIONS.items():
        values = abs(x) + 0.01 if op == "log" else x
        found = [apply(library.kernels(name), op, values) for name in library.available()]
        for one in found[1:]:
            np.testing.assert_array_max_ulp(one, found[0], maxulp=int(2 * bound))
