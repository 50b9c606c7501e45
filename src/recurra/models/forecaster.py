"""Series: a window to the steps after it, all at once or one after another, or an output in step with an input."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.models.encoded_memory import EncodedMemory
from recurra.models.memory import Memory
from recurra.models.outlook import LEVELS, Outlook
from recurra.models.scheduled_sampling import ScheduledSampling

MODES = ("direct", "rollout", "step")
FEEDBACKS = ("measured", "own", "none")


@dataclass(frozen=True)
class Way:
    """How a series is forecast.

    Attributes:
        mode: `direct`, all steps ahead at once from the last output; `rollout`, one step ahead, again and again from
            its own forecasts; `step`, an output beside each input.
        feedback: what is read of the series' own past: its `measured` values, the model's `own` forecasts in their
            place (in training the true ones), or `none`.
        horizon: steps that are forecast, h.
        targets: series that are forecast, K.
        past: inputs known up to the present, P.
        ahead: inputs known ahead, or in step, F.
        relative: whether what is learnt is the change since the last known value.
        centred: of `direct`, whether the body reads the targets less their last known values.
        linear: of `direct`, last values of each target that a linear map of its own reads beside the body; 0: none.
        shared: whether one model forecasts each target from its own past alone.
        noise: deviation of the noise on the values that are read in training.
        dropout: chance that a value of the body's output is dropped in training.
        calibrated: whether the quantiles are moved by what `Forecaster.calibrate` was given.
    """

    mode: str
    feedback: str
    horizon: int
    targets: int
    past: int = 0
    ahead: int = 0
    relative: bool = False
    centred: bool = False
    linear: int = 0
    shared: bool = False
    noise: float = 0.0
    dropout: float = 0.0
    calibrated: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode {self.mode!r} is none of {', '.join(MODES)}")
        if self.feedback not in FEEDBACKS:
            raise ValueError(f"feedback {self.feedback!r} is none of {', '.join(FEEDBACKS)}")
        if self.past and self.mode != "direct":
            raise ValueError(f"inputs known up to the present alone cannot be read in the mode {self.mode}")
        if self.inputs < 1:
            raise ValueError("neither the series' past nor an input is read: give one of them")

    @property
    def series(self) -> int:
        """Targets that one run of the model forecasts."""
        return 1 if self.shared else self.targets

    @property
    def inputs(self) -> int:
        """Columns that the body reads, I: the targets' past, the inputs known up to the present, those known ahead."""
        return (self.series if self.feedback != "none" else 0) + self.past + self.ahead

    @property
    def features(self) -> int:
        """Columns that the head reads beside the body's output: the inputs known ahead, of `direct`."""
        return self.horizon * self.ahead if self.mode == "direct" else 0


class Forecast(NamedTuple):
    """Forecasts of B windows.

    Attributes:
        point: the expected values, [B, h, K].
        quantiles: at LEVELS, [B, h, K, 19]; of a model that gives points alone, [B, h, K, 1].
        uncalibrated: the quantiles before they were moved; the same where they are not.
    """

    point: Tensor
    quantiles: Tensor
    uncalibrated: Tensor


class Forecaster(nn.Module):
    """A body with a memory, and a head that says what the next values will be.

    What enters at a step are the values of the step before and the inputs of the step itself, so that the output
    belongs to it: o_t from y_{t−1}, x_t and the state.

    Args:
        body: maps [B, T, I] and a state to [B, T, D] and a state.
        outlook: the head; of D columns, and of D + h·F where the mode is `direct`.
        way: how the series is forecast.
        sampling: scheduled sampling, of forecasts that are fed back: in training the model reads some of its own
            forecasts in place of the true values. Each call then counts as one update. None: it reads the true ones.

    Raises:
        ValueError: scheduled sampling of forecasts that are not fed back.
    """

    shift: Tensor | None

    def __init__(self, body: Memory, outlook: Outlook, way: Way, sampling: ScheduledSampling | None = None) -> None:
        super().__init__()
        if sampling is not None and way.feedback != "own":
            raise ValueError("scheduled sampling is for forecasts that are fed back: take a way with feedback='own'")
        self.body, self.outlook, self.way, self.sampling = body, outlook, way, sampling
        self.dropout = nn.Dropout(way.dropout)
        self.skip = nn.Parameter(torch.zeros(way.targets, way.linear, way.horizon)) if way.linear else None
        self.offset = nn.Parameter(torch.zeros(way.targets, way.horizon)) if way.linear else None
        shift = torch.zeros(way.horizon, way.targets, len(LEVELS)) if way.calibrated else None
        self.register_buffer("shift", shift)

    def start(self, weights: Tensor, constants: Tensor) -> None:
        """Start from a linear forecast: the body begins with nothing to add to it.

        Args:
            weights: of the last L values of each target, the oldest first, at each step ahead, [K, L, h]; L is at most
                `way.linear`.
            constants: what is added, [K, h].

        Raises:
            ValueError: the model has no linear map of the last values, or one of fewer.
        """
        if self.skip is None or self.offset is None or weights.shape[1] > self.way.linear:
            raise ValueError(
                f"a linear forecast from {weights.shape[1]} values cannot start a model whose linear map reads "
                f"{self.way.linear}; make it with linear={weights.shape[1]}"
            )
        with torch.no_grad():
            self.skip[:, self.way.linear - weights.shape[1] :] = weights
            self.offset.copy_(constants)
            self.outlook.linear.weight.zero_()
            self.outlook.linear.bias.zero_()

    def calibrate(self, shift: Tensor) -> None:
        """Move the quantiles of all forecasts from now on.

        Args:
            shift: what is added to the quantiles at LEVELS, [h, K, 19]; it is saved with the parameters.

        Raises:
            ValueError: the model was made without `way.calibrated`.
        """
        if self.shift is None:
            raise ValueError("the model keeps no calibration: make it with a way of calibrated=True")
        self.shift.copy_(shift)

    def forward(self, past: Tensor, ahead: Tensor, targets: Tensor | None = None) -> Tensor:
        """Parameters of the forecast, [B, h, K, P].

        Args:
            past: rows that are known, [B, W, C]: targets, inputs known up to the present, inputs known ahead.
            ahead: inputs known ahead at the steps to forecast, [B, h, F].
            targets: the true values at these steps, [B, h, K], which all but the first forecast read the one before of;
                not needed where the mode is `direct` or nothing of the past is read.
        """
        rows = len(past)
        past, ahead, targets = self._parted(past, ahead, targets)
        if self.training and self.sampling is not None and targets is not None:
            targets = self._mixed(past, ahead, targets, self.sampling)
        parameters = self._direct(past, ahead) if self.way.mode == "direct" else self._in_step(past, ahead, targets)
        return self._joined(parameters, rows)

    def forecast(
        self,
        past: Tensor,
        ahead: Tensor,
        targets: Tensor | None = None,
        *,
        paths: int = 100,
        generator: torch.Generator | None = None,
    ) -> Forecast:
        """What is to be expected, as the model is used: where it reads its own forecasts, they are fed back.

        Args:
            past, ahead, targets: as for `forward`; `targets` are read where the feedback is `measured`.
            paths: sample paths drawn to find the quantiles of forecasts that are fed back.
            generator: of the samples; None: torch's global one.
        """
        if self.way.feedback != "own":
            parameters = self(past, ahead, targets)
            return self._calibrated(self.outlook.point(parameters), self.outlook.quantiles(parameters))
        if self.outlook.is_point:
            drawn = self.roll_out(past, ahead)
            return self._calibrated(drawn, drawn.unsqueeze(-1))
        drawn = self.roll_out(past, ahead, paths=paths, generator=generator).unflatten(0, (len(past), paths))
        levels = torch.tensor(LEVELS, dtype=drawn.dtype, device=drawn.device)
        return self._calibrated(drawn.mean(1), drawn.quantile(levels, dim=1).permute(1, 2, 3, 0))

    def _calibrated(self, point: Tensor, quantiles: Tensor) -> Forecast:
        # Moved by amounts of their own, neighbouring quantiles may cross.
        moved = quantiles if self.shift is None else (quantiles + self.shift).sort(-1).values
        return Forecast(point, moved, quantiles)

    def roll_out(
        self, past: Tensor, ahead: Tensor, *, paths: int = 0, generator: torch.Generator | None = None
    ) -> Tensor:
        """The steps ahead one after another, each from the model's own forecast of the one before.

        Args:
            past, ahead: as for `forward`.
            paths: sample paths of each window; 0: one, of the expected values.
            generator: of the samples.

        Returns:
            [B, h, K], or [B·paths, h, K] with the paths of a window one after another.
        """
        windows = len(past)
        past, ahead, _ = self._parted(past, ahead, None)
        last, state, steps = past[:, -1, : self.way.series], None, []
        for step in range(self.way.horizon):
            parameters, state = self._next(past, ahead, last, state, step)
            if paths and step == 0:
                state = self.body.repeat(state, paths)
                parameters, ahead = (part.repeat_interleave(paths, 0) for part in (parameters, ahead))
            last = self.outlook.sample(parameters, generator) if paths else self.outlook.point(parameters)
            steps.append(last)
        drawn = torch.stack(steps, 1)  # [windows · series (· paths), h, series each]
        return self._joined(drawn.unsqueeze(-1), windows, paths or 1)[..., 0]

    def attention(self, past: Tensor, ahead: Tensor) -> Tensor | None:
        """How much each step ahead attends to each step of the window but the last, the oldest first, [B, h, W − 1].

        Along the expected path; of a model that is shared, the mean over the targets. None where nothing is attended
        to.

        Args:
            past, ahead: as for `forward`.
        """
        if not isinstance(self.body, EncodedMemory) or self.body.decoder.attention is None:
            return None
        own, inputs, targets = self._parted(past, ahead, self.roll_out(past, ahead))
        weights = self.body.attention(self._inputs(own, inputs, targets))
        return None if weights is None else weights.unflatten(0, (len(past), -1)).mean(1)

    def _next(self, past: Tensor, ahead: Tensor, last: Tensor, state: Any, step: int) -> tuple[Tensor, Any]:
        """The forecast of one step ahead, from the value before it: parameters [B, series, P], and the state."""
        one = torch.cat([last, ahead[:, step]], 1).unsqueeze(1)
        values, state = self.body(one if step else self._inputs(past, ahead[:, :1], None), state)
        return self.outlook(self.dropout(values[:, -1]), last.unsqueeze(1) if self.way.relative else 0.0)[:, 0], state

    def _mixed(self, past: Tensor, ahead: Tensor, targets: Tensor, sampling: ScheduledSampling) -> Tensor:
        """The targets with the model's own forecasts in place of some, as they are read in an update, [B, h, K]."""

        def own(parameters: Tensor) -> Tensor:
            return self.outlook.point(parameters) if sampling.feed == "best" else self.outlook.sample(parameters)

        def one_step(read: Tensor, state: Any, step: int) -> tuple[Tensor, Any]:
            parameters, state = self._next(past, ahead, read, state, step)
            return own(parameters), state

        def all_steps(_: Tensor, __: Tensor) -> Tensor:
            return own(self._in_step(past, ahead, targets))

        given = torch.cat([past[:, -1:, : self.way.series], targets[:, :-1]], 1)
        return torch.cat([sampling.mix(self, given, one_step, all_steps)[:, 1:], targets[:, -1:]], 1)

    def advance(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Of the mode `step`: parameters [B, T, K, P] in step with what enters [B, T, I], and the state to go on from.

        The columns of `inputs` are the targets a step before, where they are read, and the inputs of the step.
        """
        values, state = self.body(inputs, state)
        anchor = inputs[..., : self.way.series].unsqueeze(-2) if self.way.relative else 0.0
        return self.outlook(values, anchor)[..., 0, :, :], state

    def _direct(self, past: Tensor, ahead: Tensor) -> Tensor:
        series = past[..., : self.way.series]
        last = series[:, -1:]
        if self.way.centred:
            past = torch.cat([series - last, past[..., self.way.series :]], 2)
        inputs = self._inputs(past, ahead[:, :1], None)
        if self.body.span is not None:
            inputs = inputs[:, -self.body.span :]
        values = self.body(inputs)[0][:, -1]
        anchor = last if self.way.relative else torch.zeros_like(last)
        if self.skip is not None and self.offset is not None:
            # Each target has a map of its own, also where its rows stand among those of the others.
            lags = (series[:, -self.way.linear :] - anchor).unflatten(0, (-1, self.way.targets // self.way.series))
            maps = self.skip.unflatten(0, (-1, self.way.series))  # [rows of a window, series of a row, L, h]
            offset = self.offset.unflatten(0, (-1, self.way.series)).transpose(1, 2)
            anchor = anchor + (torch.einsum("brlk,rklh->brhk", lags, maps) + offset).flatten(0, 1)
        return self.outlook(torch.cat([self.dropout(values), ahead.flatten(1)], 1), anchor)

    def _in_step(self, past: Tensor, ahead: Tensor, targets: Tensor | None) -> Tensor:
        inputs = self._inputs(past, ahead, targets)
        values = self.body(inputs)[0][:, -self.way.horizon :]
        # Without noise: what is added to the change must be the value that the change is from.
        anchor: Tensor | float = 0.0
        if self.way.relative:
            anchor = self._known(past, targets)[:, -self.way.horizon :].unsqueeze(-2)
        return self.outlook(self.dropout(values), anchor)[:, :, 0]

    def _inputs(self, past: Tensor, ahead: Tensor, targets: Tensor | None) -> Tensor:
        """What enters at the steps from the second of the window to the last of `ahead`, [B, T, I]."""
        way = self.way
        first = past.shape[2] - way.ahead
        inputs = torch.cat([past[:, 1:, first:], ahead], 1)
        if way.past:  # of the mode `direct` alone, so `ahead` is one step
            inputs = torch.cat([past[..., way.series : first], inputs], 2)
        if way.feedback == "none":
            return inputs
        known = self._known(past, targets)
        if self.training and way.noise:
            known = known + way.noise * torch.randn_like(known)
        return torch.cat([known, inputs], 2)

    def _known(self, past: Tensor, targets: Tensor | None) -> Tensor:
        """The targets' values a step before each output: of the window, and of all but the last step to forecast."""
        known = past[..., : self.way.series]
        return known if targets is None else torch.cat([known, targets[:, :-1]], 1)

    def _parted(self, past: Tensor, ahead: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Where the model is shared, each target as a row of its own with the same inputs, else all as it is."""
        count = self.way.targets
        if not self.way.shared or count == 1:
            return past, ahead, targets
        own = past[..., :count].transpose(1, 2).flatten(0, 1).unsqueeze(-1)
        inputs = past[..., count:].repeat_interleave(count, 0)
        if targets is not None:
            targets = targets.transpose(1, 2).flatten(0, 1).unsqueeze(-1)
        return torch.cat([own, inputs], 2), ahead.repeat_interleave(count, 0), targets

    def _joined(self, values: Tensor, windows: int, paths: int = 1) -> Tensor:
        """What `_parted` parted, put together: [windows · K · paths, h, 1, P] to [windows · paths, h, K, P]."""
        if not self.way.shared or self.way.targets == 1:
            return values
        parted = values.unflatten(0, (windows, self.way.targets, paths))[:, :, :, :, 0]
        return parted.permute(0, 2, 3, 1, 4).flatten(0, 1)
