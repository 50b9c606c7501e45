"""What a forecast must beat to be worth its name: the last value, the value a season before, and AR(K)."""

from collections.abc import Sequence

import numpy as np

from recurra.data import Windows


def fit_ar(parts: Sequence[np.ndarray], order: int) -> np.ndarray:
    """Coefficients of y_t = Σ a_k y_{t−k} + b by least squares, [K + 1]: a_1 … a_K, b.

    Args:
        parts: values [T] of one or more pieces of a series.
        order: K.
    """
    rows, values = [], []
    for part in parts:
        if len(part) > order:
            lags = np.lib.stride_tricks.sliding_window_view(part[:-1], order)[:, ::-1]
            rows.append(np.concatenate([lags, np.ones((len(lags), 1))], 1))
            values.append(part[order:])
    return np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]


def last_value(windows: Windows, numbers: np.ndarray, *, one_step: bool) -> np.ndarray:
    """The last known value for every step ahead, [B, h, K]; with `one_step` the true one just before each step."""
    known = _known(windows, numbers)
    start = windows.window - 1
    if one_step:
        return known[:, start : start + windows.horizon]
    return np.repeat(known[:, start : start + 1], windows.horizon, 1)


def seasonal(windows: Windows, numbers: np.ndarray, season: int) -> np.ndarray:
    """The value of the same place in the last known season, [B, h, K].

    Before the first season of a series, its first value stands.
    """
    ahead = np.arange(windows.horizon)
    back = ahead - season * (ahead // season + 1)
    series, start = windows.origins[numbers].T
    result = np.empty((len(numbers), windows.horizon, windows.layout.targets), dtype=np.float32)
    for one in np.unique(series):
        at = np.flatnonzero(series == one)
        steps = np.maximum(start[at][:, None] + back, 0)
        result[at] = windows.frames[one][steps][..., : windows.layout.targets]
    return result


def autoregression(windows: Windows, numbers: np.ndarray, ar: np.ndarray, *, one_step: bool) -> np.ndarray:
    """AR(K) rolled out, or with `one_step` from true values at every step, [B, h, K].

    Args:
        windows: where the values are; K is at most their window.
        numbers: of the windows.
        ar: coefficients of each target, [targets, K + 1].
        one_step: whether each step reads the true values before it.
    """
    order = ar.shape[1] - 1
    known = _known(windows, numbers).astype(np.float64)
    weights, constant = ar[:, :-1].T, ar[:, -1]  # [K, targets], the newest first
    lags = known[:, windows.window - order : windows.window][:, ::-1]
    steps = []
    for step in range(windows.horizon):
        value = (lags * weights).sum(1) + constant
        steps.append(value)
        newest = known[:, windows.window + step] if one_step else value
        lags = np.concatenate([newest[:, None], lags[:, :-1]], 1)
    return np.stack(steps, 1).astype(np.float32)


def response(ar: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """AR(K) rolled out as one linear map: weights of the last K values, the oldest first, and constants.

    Args:
        ar: coefficients of each target, the newest value first and the constant last, [targets, K + 1].
        horizon: steps ahead, h.

    Returns:
        [targets, K, h] and [targets, h].
    """
    targets, order = ar.shape[0], ar.shape[1] - 1
    # What becomes of a 1 at each lag, and, in the last row, of nothing but the constant.
    lags = np.broadcast_to(np.eye(order + 1, order), (targets, order + 1, order)).copy()
    constant = np.zeros((targets, order + 1))
    constant[:, -1] = ar[:, -1]
    steps = []
    for _ in range(horizon):
        value = (lags * ar[:, None, :-1]).sum(2) + constant
        steps.append(value)
        lags = np.concatenate([value[:, :, None], lags[:, :, :-1]], 2)
    found = np.stack(steps, 2)
    return found[:, -2::-1], found[:, -1]


def _known(windows: Windows, numbers: np.ndarray) -> np.ndarray:
    """The targets of whole windows, [B, W + h, K]."""
    return windows.rows(numbers)[..., : windows.layout.targets]
