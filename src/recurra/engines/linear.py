"""A linear layer, run by the native library on CPU in float32 where it is faster, elsewhere by torch."""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.engines import library, memory
from recurra.engines.native import have_no_memory, tensor_obstacle, wants_gradient

LINEAR_VERSION = 2
_FEW_ROWS = 32
_log = logging.getLogger("recurra.engines")


class _LinearCall(ctypes.Structure):
    """`rc_linear_call` of csrc/linear.h."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("threads", ctypes.c_int32),
        ("kernels", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("rows", "inputs", "outputs")),
        *(
            (name, ctypes.c_void_p)
            for name in ("x", "weight", "bias", "y", "dy", "dx", "dweight", "dbias", "work", "packed")
        ),
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x Wᵀ + b``; natively only where that is faster.

    Args:
        x: ``[..., I]``.
        weight: ``[O, I]``.
        bias: ``[O]``.

    Returns:
        ``[..., O]``.
    """
    _check_input(x, weight)
    check_bias(weight, bias)
    if not is_native("a linear layer", obstacle(x, weight, bias) or _slower(x)):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    if wants_gradient(x, weight, bias):
        y = cast(Tensor, _Linear.apply(rows, weight, bias))  # pyright: ignore[reportUnknownMemberType]
    else:
        y = _product(rows, weight, bias)
    return y.view(*x.shape[:-1], weight.shape[0])


class PackedLinear:
    """``x Wᵀ + b`` again and again, as decoding needs it: the native library packs the weight once.

    Where a gradient is wanted it is :func:`linear`; what the native library cannot serve, torch does.

    Args:
        weight: ``[O, I]``.
        bias: ``[O]``. The values of both at the first product, or when :meth:`prepare` is called, count for all.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        check_bias(weight, bias)
        self._weight, self._bias = weight, bias
        self._block: memory.Block | None = None
        self._then: Tensor | None = None  # the bias of the time when the weight was packed

    def __call__(self, x: Tensor) -> Tensor:
        """``[..., I]`` to ``[..., O]``."""
        weight, bias = self._weight, self._bias
        _check_input(x, weight)
        if wants_gradient(x, weight, bias):
            return linear(x, weight, bias)
        if not is_native("an output layer, step after step,", obstacle(x, weight, bias)):
            return F.linear(x, weight, bias)
        self.prepare()
        y = _product(x.reshape(-1, x.shape[-1]), weight, self._then, self._block)
        return y.view(*x.shape[:-1], weight.shape[0])

    def prepare(self) -> None:
        """Take the parameters as they are now, if they were not taken before."""
        if self._block is None and obstacle(self._weight, self._weight, self._bias) is None:
            self._block = _packed(self._weight.detach())
            self._then = None if self._bias is None else self._bias.detach().clone()


# -- which of the two serves a call ------------------------------------------------------------------------------------


def is_native(what: str, reason: str | None) -> bool:
    """Whether the native library serves a call, given why it cannot, or None; it is told once, of `what` it is."""
    if not torch.compiler.is_compiling():
        _tell(what, reason)
    return reason is None


def obstacle(x: Tensor, weight: Tensor, bias: Tensor | None) -> str | None:
    """Why the native library cannot serve a call, or None."""
    if torch.compiler.is_compiling():
        return "torch.compile makes one program of torch's operations"
    found = _missing_library() or tensor_obstacle((x, weight, bias))
    if found is None and torch.is_autocast_enabled("cpu"):
        return "it computes in float32, and autocast asks for less"
    if found is None and (x.numel() == 0 or weight.numel() == 0):
        return "there is nothing to compute"
    return found


def _slower(x: Tensor) -> str | None:
    """Why torch's own product is faster, measured; or None."""
    if x.numel() < _FEW_ROWS * x.shape[-1]:
        return "packing the weight costs more than a product of few rows"
    return "torch's products are as fast on this processor" if _is_intel() else None


@cache
def _is_intel() -> bool:
    return bool(library.load().rc_processor_is_intel())


@cache
def _missing_library() -> str | None:
    missing = library.obstacle()
    if missing is not None:
        return missing
    loaded = library.load()
    version = int(loaded.rc_linear_version()) if hasattr(loaded, "rc_linear_version") else 0
    if version != LINEAR_VERSION:
        raise library.NativeLibraryError(
            f"the native library has version {version} of its linear layers, expected {LINEAR_VERSION}; "
            "build it anew with `pip install .` or `pip install -e .`"
        )
    for name in ("floats", "packed_floats", "gradient_floats", "loss_floats", "loss"):
        getattr(loaded, f"rc_linear_{name}").restype = ctypes.c_int64
    return None


@cache
def _tell(what: str, reason: str | None) -> None:
    if reason is None:
        _log.info("%s runs on the native library: it serves float32 on the CPU", what)
    else:
        _log.info("%s runs on torch and not on the native library: %s", what, reason)


# -- checks ------------------------------------------------------------------------------------------------------------


def _check_input(x: Tensor, weight: Tensor) -> None:
    if x.dim() == 0 or weight.dim() != 2 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"the input has shape {list(x.shape)} and the weight {list(weight.shape)}; expected [..., I] and [O, I]"
        )


def check_bias(weight: Tensor, bias: Tensor | None) -> None:
    """Raise ValueError where a bias does not fit its weight."""
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"the bias has shape {list(bias.shape)}; expected [{weight.shape[0]}], one for each output")


# -- the native library ------------------------------------------------------------------------------------------------


def address(tensor: Tensor | None) -> int | None:
    """Where a tensor lies in memory; None where there is none."""
    return None if tensor is None else tensor.data_ptr()


def empty_like(wanted: bool, like: Tensor | None) -> Tensor | None:
    """Memory for the gradient of a tensor, where it is wanted and there is one."""
    return torch.empty(like.shape, **memory.NUMBERS) if wanted and like is not None else None


def _linear_call(x: Tensor, weight: Tensor, bias: Tensor | None) -> _LinearCall:
    """A call on contiguous tensors, which the caller keeps alive."""
    return _LinearCall(
        size=ctypes.sizeof(_LinearCall), threads=torch.get_num_threads(), kernels=ctypes.addressof(library.kernels()),
        rows=x.shape[0], inputs=x.shape[1], outputs=weight.shape[0], x=address(x), weight=address(weight),
        bias=address(bias),
    )  # fmt: skip


def _run_linear(name: str, call: _LinearCall) -> None:
    work = memory.take(int(getattr(library.load(), f"{name}_floats")(ctypes.byref(call))))
    call.work = work.address
    if getattr(library.load(), name)(ctypes.byref(call)):
        raise RuntimeError("the native library is of another version than these Python files; install recurra anew")


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, packed: memory.Block | None = None) -> Tensor:
    x, weight = memory.plain(x), memory.plain(weight)
    bias = None if bias is None else memory.plain(bias)
    y = torch.empty(x.shape[0], weight.shape[0], **memory.NUMBERS)
    call = _linear_call(x, weight, bias)
    call.y, call.packed = address(y), None if packed is None else packed.address
    _run_linear("rc_linear", call)
    return y


def _packed(weight: Tensor) -> memory.Block:
    weight = memory.plain(weight)
    call = _linear_call(weight[:0], weight, None)
    block = memory.take(int(library.load().rc_linear_packed_floats(ctypes.byref(call))))
    call.packed = block.address
    library.load().rc_linear_pack(ctypes.byref(call))
    return block


class _Linear(torch.autograd.Function):
    """A linear layer as one node of autograd's graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = cast(tuple[Tensor, Tensor], ctx.saved_tensors)
        needs_x, needs_weight, needs_bias = cast(tuple[bool, bool, bool], ctx.needs_input_grad)
        if torch.is_grad_enabled() or have_no_memory([gradient]):
            dx = gradient @ weight if needs_x else None
            dweight = gradient.t() @ x if needs_weight else None
            return dx, dweight, gradient.sum(0) if needs_bias else None
        x, weight, gradient = map(memory.plain, (x, weight, gradient))
        dx, dweight = empty_like(needs_x, x), empty_like(needs_weight, weight)
        dbias = torch.empty(weight.shape[0], **memory.NUMBERS) if needs_bias and needs_weight else None
        call = _linear_call(x, weight, None)
        call.dy, call.dx, call.dweight, call.dbias = map(address, (gradient, dx, dweight, dbias))
        _run_linear("rc_linear_gradient", call)
        return dx, dweight, gradient.sum(0) if needs_bias and dbias is None else dbias
