"""The kernels of every instruction set this processor can run, against numpy in float64."""

import ctypes
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from recurra.engines import library

Array = NDArray[np.float32]
LANE = 16
ROUNDING = 2.0**-24  # of one float32 operation, relative
GUARD = np.float32(12345.678)
SIZES = (1, 15, 16, 17, 63, 200)


@pytest.fixture(params=library.available())
def kernels(request: pytest.FixtureRequest) -> library.Kernels:
    return library.kernels(request.param)


def pointer(array: Array | None):
    return None if array is None else array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def round_up(n: int) -> int:
    return -(-n // LANE) * LANE


def aligned(count: int, fill: float = np.nan) -> Array:
    """`count` floats on a 64-byte boundary."""
    buffer = np.full(count + LANE, fill, dtype=np.float32)
    start = (-buffer.ctypes.data % 64) // 4
    return buffer[start : start + count]


def owned(values: Array) -> Array:
    """A copy of `values` [R, W] with rows as the engine keeps them: aligned, padded, the padding poisoned with NaN."""
    rows, width = values.shape
    stride = round_up(width) + LANE
    padded = aligned(rows * stride).reshape(rows, stride)
    padded[:, :width] = values
    return padded


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def packed(kernels: library.Kernels, matrix: Array, *, transposed: bool = False) -> Array:
    """The packed form of a matrix [K, N], from its own layout or from that of its transpose."""
    k, n = matrix.shape
    out = aligned(kernels.packed_size(k, n))
    source = np.ascontiguousarray(matrix.T) if transposed else matrix
    steps = (1, k) if transposed else (n, 1)
    kernels.pack(k, n, pointer(source), *steps, pointer(out), k, n, 0, 0)
    return out


def gemm(kernels: library.Kernels, a: Array, b: Array, init: Array | None = None) -> Array:
    """a [M, K] times b, packed from [K, N]. `init`: [M, ...] or one row for all."""
    m, k = a.shape
    columns = b.shape[1]
    strided = owned(a)
    out = owned(np.zeros((m, columns), np.float32))
    kernels.gemm(
        m, columns, k, pointer(strided), strided.shape[1], pointer(packed(kernels, b)),
        pointer(init), 0 if init is None or init.shape[0] == 1 else init.shape[1], pointer(out), out.shape[1],
    )  # fmt: skip
    return out


def assert_product(found: Array, a: Array, b: Array, init: Array | float = 0.0) -> None:
    """Within the bound that holds for a sum in any order: (K + 2) roundings of the sum of magnitudes."""
    exact = a.astype(np.float64) @ b + init
    bound = 2 * (a.shape[1] + 2) * ROUNDING * (np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(init))
    assert np.isfinite(found).all()
    assert (np.abs(found - exact) <= bound).all()


@pytest.mark.parametrize("n", [*SIZES, 500])
def test_gemm_equals_numpy(kernels: library.Kernels, n: int) -> None:
    rng = np.random.default_rng(n)
    for k in SIZES:
        for m in (*range(1, 18), 29, 43):
            a, b, bias = normal(rng, m, k), normal(rng, k, n), owned(normal(rng, 1, n))
            assert_product(gemm(kernels, a, b)[:, :n], a, b)
            assert_product(gemm(kernels, a, b, bias)[:, :n], a, b, bias[:, :n])


def test_gemm_accumulates_in_place_and_stays_in_its_columns(kernels: library.Kernels) -> None:
    rng = np.random.default_rng(0)
    a, b, start = normal(rng, 9, 63), normal(rng, 63, 200), normal(rng, 9, 200)
    out = owned(start)
    out[:, 208:] = GUARD
    row = owned(a)
    kernels.gemm(
        9, 200, 63, pointer(row), row.shape[1], pointer(packed(kernels, b)), pointer(out), out.shape[1],
        pointer(out), out.shape[1],
    )  # fmt: skip
    assert_product(out[:, :200], a, b, start)
    assert (out[:, 208:] == GUARD).all()


def test_gemm_of_no_rows_or_no_depth(kernels: library.Kernels) -> None:
    bias = owned(normal(np.random.default_rng(0), 1, 17))
    assert gemm(kernels, np.zeros((0, 5), np.float32), np.ones((5, 17), np.float32)).size == 0
    out = gemm(kernels, np.zeros((3, 0), np.float32), np.zeros((0, 17), np.float32), bias)
    assert (out[:, :17] == bias[:, :17]).all()


@pytest.mark.parametrize(("n", "k"), [(200, 63), (63, 500), (16, 16), (129, 200)])
def test_a_row_has_the_same_bits_whatever_is_computed_with_it(kernels: library.Kernels, n: int, k: int) -> None:
    rng = np.random.default_rng(1)
    a, b = normal(rng, 61, k), normal(rng, k, n)
    whole = gemm(kernels, a, b)[:, :n]
    for rows in (*range(1, 17), 30):
        for start in range(0, 61, rows):
            part = gemm(kernels, a[start : start + rows], b)[:, :n]
            assert part.tobytes() == whole[start : start + rows].tobytes()


def test_continuing_a_product_has_the_bits_of_one_product(kernels: library.Kernels) -> None:
    rng = np.random.default_rng(2)
    a, b = normal(rng, 7, 120), normal(rng, 120, 77)
    first = gemm(kernels, a[:, :50].copy(), b[:50])
    assert gemm(kernels, a[:, 50:].copy(), b[50:], first)[:, :77].tobytes() == gemm(kernels, a, b)[:, :77].tobytes()


@pytest.mark.parametrize(("k", "n"), [(1, 1), (5, 17), (63, 200), (200, 63), (130, 96)])
def test_pack_reads_both_layouts_and_fills_the_padding_with_zeros(kernels: library.Kernels, k: int, n: int) -> None:
    matrix = normal(np.random.default_rng(3), k, n)
    straight = packed(kernels, matrix)
    assert straight.tobytes() == packed(kernels, matrix, transposed=True).tobytes()
    assert np.count_nonzero(straight) == np.count_nonzero(matrix)


def test_pack_assembles_blocks(kernels: library.Kernels) -> None:
    """Gates of 20 columns side by side, each at the next multiple of the lane, and two operands one below the other."""
    rng = np.random.default_rng(4)
    top, bottom = normal(rng, 10, 40), normal(rng, 23, 40)
    whole = np.zeros((33, 64), np.float32)
    out = aligned(kernels.packed_size(33, 64))
    for k0, block in ((0, top), (10, bottom)):
        for gate in (0, 1):
            part = block[:, gate * 20 : gate * 20 + 20].copy()
            whole[k0 : k0 + len(part), gate * 32 : gate * 32 + 20] = part
            kernels.pack(len(part), 20, pointer(part), 20, 1, pointer(out), 33, 64, k0, gate * 32)
    assert out.tobytes() == packed(kernels, whole).tobytes()


@dataclass
class Transposed:
    """The operands of one gemm_tn: a [R, M], b [R, N] and the rows' order in memory."""

    a: Array
    b: Array
    inner: int = 0

    def run(self, kernels: library.Kernels, c: Array, sums: Array | None, accumulate: bool) -> None:
        rows, m = self.a.shape
        inner = self.inner or rows
        a = owned(self.a)
        b = self.b.copy()
        scratch = aligned(kernels.gemm_tn_scratch(m, b.shape[1]))
        kernels.gemm_tn(
            m, b.shape[1], rows // inner, inner, None, pointer(a), inner * a.shape[1], a.shape[1], pointer(b),
            inner * b.shape[1], b.shape[1], pointer(c), c.strides[0] // 4, pointer(sums), int(accumulate),
            pointer(scratch),
        )  # fmt: skip


@pytest.mark.parametrize("m", [*SIZES, 500])
def test_gemm_tn_equals_numpy(kernels: library.Kernels, m: int) -> None:
    rng = np.random.default_rng(m)
    for n, rows in (
        (1, 700),
        (3, 258),
        (4, 2),
        (5, 3),
        (15, 1),
        (16, 256),
        (17, 257),
        (63, 513),
        (200, 300),
        (530, 40),
    ):
        case = Transposed(normal(rng, rows, m), normal(rng, rows, n))
        c = np.full((m, n + 3), GUARD)
        sums = np.full(m + 5, GUARD)
        case.run(kernels, c[:, :n], sums, accumulate=False)
        assert_product(c[:, :n], case.a.T, case.b)
        assert_product(sums[:m], case.a.T, np.ones(rows, np.float32))
        assert (c[:, n:] == GUARD).all() and (sums[m:] == GUARD).all()


def test_gemm_tn_accumulates(kernels: library.Kernels) -> None:
    rng = np.random.default_rng(5)
    case = Transposed(normal(rng, 90, 33), normal(rng, 90, 20))
    start, start_sums = normal(rng, 33, 20), normal(rng, 33)
    c, sums = start.copy(), start_sums.copy()
    case.run(kernels, c, sums, accumulate=True)
    assert_product(c, case.a.T, case.b, start)
    assert_product(sums, case.a.T, np.ones(90, np.float32), start_sums)


def test_gemm_tn_of_no_rows_is_zero(kernels: library.Kernels) -> None:
    c, sums = np.full((3, 4), GUARD), np.full(3, GUARD)
    empty = np.zeros((0, 4), np.float32)
    scratch = aligned(kernels.gemm_tn_scratch(3, 4))
    kernels.gemm_tn(
        3, 4, 0, 7, None, pointer(empty), 0, 3, pointer(empty), 0, 4, pointer(c), 4, pointer(sums), 0, pointer(scratch)
    )
    assert not c.any() and not sums.any()


def test_gemm_tn_follows_rows_in_two_levels(kernels: library.Kernels) -> None:
    """[T, B, ...] in the one matrix and [B, T, ...] in the other, as weight gradients meet them."""
    rng = np.random.default_rng(6)
    steps, batch, m, n = 40, 9, 31, 18
    a, b = normal(rng, steps, batch, 32), normal(rng, batch, steps, n)
    c = np.full((m, n), GUARD)
    scratch = aligned(kernels.gemm_tn_scratch(m, n))
    kernels.gemm_tn(
        m, n, steps, batch, None, pointer(a), batch * 32, 32, pointer(b), n, steps * n, pointer(c), n, None, 0,
        pointer(scratch),
    )  # fmt: skip
    rows = a[:, :, :m].reshape(-1, m)
    assert_product(c, rows.T, b.transpose(1, 0, 2).reshape(-1, n))


@pytest.mark.parametrize("n", [2, 18])
@pytest.mark.parametrize("late", [False, True])
def test_gemm_tn_takes_as_many_rows_of_each_step_as_it_is_told(kernels: library.Kernels, late: bool, n: int) -> None:
    rng = np.random.default_rng(9)
    steps, batch, m = 60, 9, 31
    counts = np.sort(rng.integers(0, batch + 1, steps)) if late else np.sort(rng.integers(0, batch + 1, steps))[::-1]
    counts = np.ascontiguousarray(counts, np.int64)
    counts[7] = counts[8] = 0
    a, b = normal(rng, steps, batch, 32), normal(rng, steps, batch, n)
    alive = np.arange(batch) < counts[:, None]
    expected_a, expected_b = a[alive][:, :m], b[alive]
    a[~alive] = b[~alive] = np.nan
    c, sums = np.full((m, n), GUARD), np.full(m, GUARD)
    scratch = aligned(kernels.gemm_tn_scratch(m, n))
    kernels.gemm_tn(
        m, n, steps, batch, counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)), pointer(a), batch * 32, 32,
        pointer(b), batch * n, n, pointer(c), n, pointer(sums), 0, pointer(scratch),
    )  # fmt: skip
    assert_product(c, expected_a.T, expected_b)
    assert_product(sums, expected_a.T, np.ones(len(expected_a), np.float32))


def test_gemm_tn_has_the_same_bits_however_it_is_split(kernels: library.Kernels) -> None:
    rng = np.random.default_rng(7)
    rows, m, n = 700, 200, 150
    case = Transposed(normal(rng, rows, m), normal(rng, rows, n))
    whole, whole_sums = np.empty((m, n), np.float32), np.empty(m, np.float32)
    case.run(kernels, whole, whole_sums, accumulate=False)
    for cut in (1, 3, 16, 77, 100):
        parts, sums = np.empty((m, n), np.float32), np.empty(m, np.float32)
        Transposed(case.a[:, :cut], case.b).run(kernels, parts[:cut], sums[:cut], accumulate=False)
        Transposed(case.a[:, cut:], case.b[:, :cut]).run(kernels, parts[cut:, :cut], sums[cut:], accumulate=False)
        Transposed(case.a[:, cut:], case.b[:, cut:]).run(kernels, parts[cut:, cut:], None, accumulate=False)
        assert parts.tobytes() == whole.tobytes()
        assert sums.tobytes() == whole_sums.tobytes()


def test_products_agree_between_instruction_sets() -> None:
    rng = np.random.default_rng(8)
    a, b = normal(rng, 20, 200), normal(rng, 200, 70)
    found = {name: gemm(library.kernels(name), a, b)[:, :70] for name in library.available()}
    for product in found.values():
        np.testing.assert_allclose(product, found["baseline"], rtol=0, atol=2e-5)
    if "v4" in found:  # both fuse the multiplication with the addition, in the same order
        assert found["v4"].tobytes() == found["v3"].tobytes()


def test_burn_counts_its_operations(kernels: library.Kernels) -> None:
    sink = aligned(LANE, 0.5)
    assert kernels.burn(10, pointer(sink)) >= 10 * 1000 * 2
    assert np.isfinite(sink).all()


def test_an_unknown_instruction_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(library.NativeLibraryError, match=r"'v9' cannot be used.*baseline"):
        library.kernels("v9")
    monkeypatch.setenv("RECURRA_ISA", "avx")
    with pytest.raises(library.NativeLibraryError, match="RECURRA_ISA"):
        library.kernels()
    monkeypatch.setenv("RECURRA_ISA", "baseline")
    assert library.kernels().name == b"baseline"


def test_an_engine_never_stands_in_for_an_instruction_set_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert library.obstacle() is None
    monkeypatch.setenv("RECURRA_ISA", "avx")
    with pytest.raises(library.NativeLibraryError, match="from the environment variable RECURRA_ISA"):
        library.obstacle()


def test_a_missing_library_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECURRA_LIBRARY", "/nowhere/librecurra.so")
    with pytest.raises(library.NativeLibraryError, match=r"/nowhere/librecurra.so.*pip install"):
        library.find()
