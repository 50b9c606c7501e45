"""JAX's contender: `jax.jit` of `lax.scan`, the input projection taken for all steps at once."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from recurra.deploy.bench.problem import Problem, Run


def available() -> bool:
    """Whether JAX is installed."""
    return find_spec("jax") is not None


def jax_run(problem: Problem, *, training: bool) -> Run | None:
    """A run in JAX, or None for a cell that nobody has written for it."""
    jax: Any = import_module("jax")
    jnp: Any = import_module("jax.numpy")
    jax.config.update("jax_platforms", "cpu")
    forward = _forward(problem.cell, jax, jnp)
    if forward is None:
        return None
    parameters = {name: jnp.asarray(p.numpy()) for name, p in _parameters(problem).items()}
    x, gradient = jnp.asarray(problem.x.detach().numpy()), jnp.asarray(problem.gradient.numpy())
    if not training:
        compiled = jax.jit(forward)
        return lambda: compiled(parameters, x).block_until_ready()

    def train(p: Any, x: Any, gradient: Any) -> Any:
        _, back = jax.vjp(forward, p, x)
        dp, dx = back(gradient)
        return {name: p[name] - 1e-7 * dp[name] for name in p}, dx

    compiled = jax.jit(train)
    held = {"parameters": parameters}

    def run() -> Any:
        held["parameters"], dx = compiled(held["parameters"], x, gradient)
        jax.block_until_ready(held["parameters"])
        return dx.block_until_ready()

    return run


def _parameters(problem: Problem) -> dict[str, torch.Tensor]:
    of = problem.stacked
    match problem.cell:
        case "lstm":
            return {k: of(*[f"{n}_{g}" for g in "ifog"]) for k, n in (("w", "W"), ("u", "U"), ("b", "b"))}
        case "gru_after":
            w, b = (of(*[f"{n}_{g}" for g in "rzn"]) for n in "Wb")
            return {"w": w, "b": b, "u": of("U_r", "U_z", "U_nh"), "bn": of("b_nh")}
        case _:
            return {"w": of("W_h"), "u": of("U_h"), "b": of("b_h")}


def _forward(cell: str, jax: Any, jnp: Any) -> Any:
    sigmoid, scan = jax.nn.sigmoid, jax.lax.scan

    def lstm(p: Any, state: Any, z: Any) -> Any:
        h, c = state
        z = z + h @ p["u"].T
        n = c.shape[1]
        i, f, o = (sigmoid(z[:, k * n : (k + 1) * n]) for k in range(3))
        c = f * c + i * jnp.tanh(z[:, 3 * n :])
        h = o * jnp.tanh(c)
        return (h, c), h

    def gru(p: Any, state: Any, z: Any) -> Any:
        h = state[0]
        n = h.shape[1]
        u = h @ p["u"].T
        r, keep = (sigmoid(z[:, k * n : (k + 1) * n] + u[:, k * n : (k + 1) * n]) for k in range(2))
        new = jnp.tanh(z[:, 2 * n :] + r * (u[:, 2 * n :] + p["bn"]))
        h = (1 - keep) * new + keep * h
        return (h,), h

    def elman(p: Any, state: Any, z: Any) -> Any:
        h = jnp.tanh(z + state[0] @ p["u"].T)
        return (h,), h

    step = {"lstm": lstm, "gru_after": gru, "elman": elman}.get(cell)
    if step is None:
        return None

    def forward(p: Any, x: Any) -> Any:
        start = jnp.zeros((x.shape[1], p["u"].shape[1]), x.dtype)
        state = (start, start) if cell == "lstm" else (start,)
        return scan(lambda state, z: step(p, state, z), state, x @ p["w"].T + p["b"])[1]

    return forward
