"""The training loop: plain, and ignorant of what task it trains."""

import math
import platform
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import recurra
from recurra.tasks.base import Batch, Task
from recurra.tasks.config import ConfigError
from recurra.tasks.measures import more_is_better
from recurra.training.clipping import clip_gradients
from recurra.training.config import write_config
from recurra.training.distributed import ALONE, Ranks
from recurra.training.files import to_json
from recurra.training.interruption import Interruption
from recurra.training.observer import Observer
from recurra.training.optimizer import build_optimizer
from recurra.training.progress import Meter, Plan, Position
from recurra.training.run_folder import RunFolder
from recurra.training.schedule import Schedule
from recurra.training.snapshot import Snapshot, map_tensors
from recurra.training.weight_noise import weight_noise

# Updates between two questions to the other processes whether one of them was told to stop.
_ASK_EVERY = 10


class DivergenceError(ValueError):
    """The loss or the gradient is no longer a finite number."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `reason` is `steps`, `epochs`, `seconds`, `patience` or `interrupted`."""

    reason: str
    step: int
    seconds: float
    best: float | None  # best validation, by the task's criterion; None where none was measured
    best_step: int | None
    criterion: str  # the measure that `best` is of


class _Loss(nn.Module):
    """The task's loss as a module, so that gradients are averaged whatever part of the model the task calls."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.task = task
        self.model = model

    def forward(self, batch: Batch, state: Any) -> tuple[Tensor, Any]:
        return self.task.loss(self.model, batch, state)


def train(
    task: Task,
    model: nn.Module,
    config: Any,
    run: RunFolder,
    observer: Observer,
    ranks: Ranks = ALONE,
    *,
    resume: bool = False,
) -> Outcome:
    """Train `model` on `task` until a limit of `config.train` is reached or somebody interrupts.

    Leaves in `run` the best parameters, a checkpoint and the metrics. With `resume` it goes on from the checkpoint
    there and, on a CPU, ends bit for bit where a run that was never stopped would have ended.

    Raises DivergenceError where the loss or the gradient stops being finite (the last checkpoint stays as it was),
    ConfigError, CheckpointError, DataError, OSError.
    """
    settings, optimization = config.train, config.optimizer
    device = next(model.parameters()).device
    if settings.seconds is not None and not ranks.alone:
        raise ConfigError("train.seconds needs one clock, and this run has several processes: set train.steps instead")

    stream = task.training_stream(ranks.rank, ranks.world)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(optimization, parameters)
    schedule = Schedule(optimization)
    mean_loss = ranks.wrap(_Loss(task, model), device)
    plan, at, meter = Plan(settings, stream.epoch_batches), Position(), Meter(device)
    snapshot = Snapshot(model, optimizer, schedule, stream, at, meter)
    facts = describe(task, model, config, ranks)
    # What is kept as the best is the lowest, so a measure of which more is better changes its sign.
    sign = -1.0 if more_is_better(task.criterion) else 1.0
    if ranks.writer:
        observer.started(facts)

    carried = None  # the state that the next window starts from, on the device, without history
    if resume:
        carried, size = snapshot.restore(run, ranks)
        # Lines younger than the checkpoint go: they will be written again, the same.
        if not run.cut_metrics(size):
            observer.notice("metrics.jsonl is shorter than it was at the checkpoint: the lines between are lost")
    else:
        snapshot.save(run, ranks, carried)  # before the first update, so that a kill at any moment can be resumed
    run.write_text("config.yaml", write_config(config))
    _write_facts(run, facts, at, sign, reason="running")

    model.train()
    reason = plan.reached(at)  # a run that is over makes no further update when it is resumed
    if reason is not None:
        observer.notice(
            f"nothing is left to do: the run is at step {at.step:,}, and train.{reason} ends it there; set a larger "
            "one to go on"
        )
    with Interruption() as interruption:
        while reason is None:
            # One window forward and backward. At the end of an epoch the stream says None once.
            batch = stream.next() or stream.next()
            if batch is None:
                raise ValueError("the training data has no batch in an epoch; give more of it")
            rate = schedule.rate(at.step, at.epoch, plan.fraction(at))
            with weight_noise(parameters, optimization.weight_noise):
                loss, carried = mean_loss(batch, None if batch.fresh else carried)
                for parameter in parameters:
                    parameter.grad = None
                loss.backward()
            carried = map_tensors(Tensor.detach, carried)
            norm = clip_gradients(parameters, optimization.clip, optimization.clip_by)

            # What this update, the one that `at.step` now counts, calls for.
            meter.add(loss, norm, batch.tokens)
            at.advance(stream.epoch_batches)
            at.tick()
            reason = plan.reached(at)
            ends = reason is not None
            asks = ranks.alone or at.step % _ASK_EVERY == 0
            if asks and ranks.any(interruption.wanted) and not ends:
                reason = "interrupted"
            validates = plan.validation_due(at) or (ends and settings.validate_every != 0)
            samples = plan.sample_due(at) or (validates and settings.sample_every is None)
            writes = validates or samples or ends or plan.line_due(at)
            saves = reason is not None or plan.checkpoint_due(at)

            # Reading a number waits for a GPU, so there it is looked at only before something is kept.
            if device.type == "cpu" or writes or saves:
                _require_finite(meter, at, run)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            run.keep()
            if ranks.writer:
                observer.stepped(at, plan.fraction(at), loss, norm)

            if writes:
                record = {
                    "step": at.step,
                    "epoch": round(at.epoch + at.window / stream.epoch_batches, 4),
                    "time": round(at.tick(), 3),
                    **_means(task, meter, ranks),
                    "lr": rate,
                }
                if validates:
                    metrics = ranks.from_writer(lambda: task.validate(model))
                    schedule.validated(sign * metrics[task.criterion])
                    if at.judge(sign * metrics[task.criterion]):
                        _save_best(task, model, run)
                    record |= metrics
                if samples and ranks.writer and (sample := task.sample(model, config.seed)):
                    record["sample"] = sample
                if ranks.writer:
                    run.append_metrics(record)
                    observer.measured(record)
                reason = reason or plan.reached(at)  # patience may be at its end now
                saves = saves or reason is not None
                meter.reset()
            if saves:
                snapshot.save(run, ranks, carried)

    if at.best_step is None:
        _save_best(task, model, run)  # nothing was validated: the last parameters are the best known
    at.tick()
    _write_facts(run, facts, at, sign, reason)
    return Outcome(reason, at.step, at.seconds, sign * at.best if at.best_step else None, at.best_step, task.criterion)


def describe(task: Task, model: nn.Module, config: Any, ranks: Ranks) -> dict[str, Any]:
    """Facts of the data, the model and the machine, for `describe.json` and the report."""
    device = next(model.parameters()).device
    on_gpu = device.type == "cuda"
    where = torch.cuda.get_device_name(device) if on_gpu else f"{device.type}, {torch.get_num_threads()} threads"
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "loss": task.loss_name,
        "criterion": task.criterion,
        "unit": task.unit,
        "engine": config.engine,
        "device": where,
        "processes": ranks.world,
        "recurra": recurra.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "data": task.describe(),
    }


def _save_best(task: Task, model: nn.Module, run: RunFolder) -> None:
    if run.writer:
        task.calibrate(model)
        run.save_model(model)


def _write_facts(run: RunFolder, facts: dict[str, Any], at: Position, sign: float, reason: str) -> None:
    end = {"ended_by": reason, "step": at.step, "seconds": round(at.seconds, 3)}
    best = {f"best_{facts['criterion']}": sign * at.best, "best_step": at.best_step} if at.best_step else {}
    run.write_text("describe.json", to_json({**facts, **end, **best}, indent=2) + "\n")


def _means(task: Task, meter: Meter, ranks: Ranks) -> dict[str, float]:
    """A line's means over the updates since the last one, of all processes together."""
    loss, norms, tokens, steps = ranks.sum(meter.totals())
    return {
        f"train_{task.loss_name}": loss / tokens,
        "gradient_norm": norms / steps,
        f"{task.unit}s_per_second": round(tokens / max(meter.seconds(), 1e-9), 1),
    }


def _require_finite(meter: Meter, at: Position, run: RunFolder) -> None:
    loss, norms, _, steps = meter.totals()
    if math.isfinite(loss) and math.isfinite(norms):
        return
    what = "gradient" if math.isfinite(loss) else "loss"
    where = f"step {at.step}" if meter.device.type == "cpu" else f"one of the {int(steps)} steps up to {at.step}"
    raise DivergenceError(
        f"the {what} is not a finite number at {where}; the last checkpoint is whole. Lower the learning rate or clip "
        f"harder: recurra train --resume {run.path} optimizer.lr=… optimizer.clip=…"
    )
