"""The settings of forecasting."""

from dataclasses import dataclass, field

from recurra.tasks.config import (
    ConfigError,
    LoopConfig,
    OptimizerConfig,
    RecurrentConfig,
    SamplingConfig,
    TaskConfig,
    require_choice,
    require_range,
    setting,
)

KINDS = ("recurrent", "encoder_decoder", "ar", "narx", "window", "tdnn")
ATTENTIONS = ("none", "additive", "dot", "general", "concat", "scaled")
POINTS = ("mse", "mae", "huber")
LOSSES = (*POINTS, "gaussian", "student", "quantiles")


@dataclass
class SeriesConfig:
    """The table: which columns are what, and how what is missing in it is mended."""

    targets: str = setting("", "columns to forecast, parted by commas; empty: all that are no inputs")
    past: str = setting("", "input columns that are known up to the present, parted by commas")
    ahead: str = setting("", "input columns that are known ahead, or that drive the series in step, parted by commas")
    calendar: bool = setting(False, "also read where in the day, the week and the year each step lies; known ahead")
    date: str | None = setting(
        "auto", "name of the column with the dates; auto: the first one, if dates stand there; null: there is none"
    )
    date_format: str | None = setting(
        None, "format of the dates, as %d.%m.%Y %H:%M; null: year first, as ISO 8601 says"
    )
    separator: str = setting("auto", "what parts the columns: tab, comma, semicolon or auto")
    frequency: str | None = setting(
        None, "time from a row to the next, as 10s, 15min, 1h, 1d, 1month; null: the commonest"
    )
    gaps: str = setting(
        "hold", "rows missing between two dates: error, hold (the value before) or linear (between both sides)"
    )
    missing: str = setting("error", "empty cells: error, hold or linear")
    duplicates: str = setting("error", "several rows of one date: error, or keep the first, the last or their mean")
    season: int | None = setting(
        None,
        "steps until the series repeats itself, for the seasonal baseline and MASE; null: a day of steps shorter than "
        "one, a week of days, a year of months; without dates the best one in the training rows",
    )
    standardise: bool = setting(
        True, "bring each column to the mean 0 and the deviation 1 of its training rows; errors are measured so too"
    )
    leaks: str = setting("error", "an input in series.past that holds the future of a target: error or allow")

    def __post_init__(self) -> None:
        require_choice("series.separator", self.separator, ("auto", "tab", "comma", "semicolon"))
        for name in ("gaps", "missing"):
            require_choice(f"series.{name}", getattr(self, name), ("error", "hold", "linear"))
        require_choice("series.duplicates", self.duplicates, ("error", "first", "last", "mean"))
        require_choice("series.leaks", self.leaks, ("error", "allow"))
        require_range("series.season", self.season, 1)
        for name in ("targets", "past", "ahead"):
            columns = names(getattr(self, name))
            if len(set(columns)) < len(columns):
                raise ConfigError(f"series.{name}={getattr(self, name)} names a column twice")
        if self.targets and set(names(self.targets)) & {*names(self.past), *names(self.ahead)}:
            raise ConfigError(
                "a column of series.targets is an input as well; what is forecast enters by itself, so name it once"
            )


@dataclass
class ForecastingConfig:
    """What is forecast from what."""

    mode: str = setting(
        "direct",
        "direct: all steps ahead at once; rollout: one step, again and again from the model's own forecasts; step: an "
        "output beside each input, y_t from x_1 … x_t and, as forecast.feedback says, from the series' past",
    )
    window: int = setting(48, "steps that are known; of the mode step, those the model may find its state in, unscored")
    horizon: int = setting(24, "steps to forecast")
    feedback: str = setting(
        "auto",
        "mode step: what is read of the series' own past: none; measured, its true values; own, the model's own "
        "outputs in their place when it is used, in training the true ones; auto: own for kinds ar and narx, else none",
    )
    paths: int = setting(100, "roll-outs drawn to find quantiles, where forecasts are distributions and are fed back")
    stride: int = setting(1, "steps from a training window to the next")
    calibration: str = setting(
        "none",
        "what is done for bands that hold too little or too much: none; conformal, widen or narrow them, at each step "
        "ahead, until they hold their share of the validation rows (conformalised quantile regression)",
    )

    def __post_init__(self) -> None:
        require_choice("forecast.mode", self.mode, ("direct", "rollout", "step"))
        require_choice("forecast.calibration", self.calibration, ("none", "conformal"))
        if self.calibration != "none" and self.mode == "step":
            raise ConfigError(
                f"forecast.calibration={self.calibration} is for forecasts of a horizon, not for forecast.mode=step; "
                "leave it out"
            )
        require_choice("forecast.feedback", self.feedback, ("auto", "none", "measured", "own"))
        for name in ("window", "horizon", "paths", "stride"):
            require_range(f"forecast.{name}", getattr(self, name), 1)
        if self.mode != "step" and self.feedback != "auto":
            raise ConfigError(
                f"forecast.feedback={self.feedback} belongs to forecast.mode=step: a forecast always reads the series' "
                "past; leave it out"
            )


@dataclass
class ModelConfig:
    """The model: what remembers, and how the forecast is put together."""

    kind: str = setting(
        "recurrent",
        "what remembers the steps before: recurrent; encoder_decoder (one recurrent network reads the window, another "
        "runs over the steps ahead; forecast.mode=rollout); or, to compare, ar (a linear map of the last values), narx "
        "(a feed-forward net on the last values and inputs), window (the same on all of the window), tdnn (delays at "
        "every layer)",
    )
    cell: str = setting(
        "lstm",
        "the recurrent cell: one that `recurra cells` lists, with options in brackets, or one of yours, FILE.py:NAME",
    )
    attention: str = setting(
        "none",
        "kind encoder_decoder: how the steps ahead look back at the window: none, additive (Bahdanau), or dot, "
        "general, concat, scaled (Luong)",
    )
    hidden: int = setting(64, "width of each layer, in units")
    widths: dict[str, int] = field(
        default_factory=dict,
        metadata={"help": "what else the cell has a width for, by its name: model.widths.P=64 for projected_lstm"},
    )
    layers: int = setting(1, "number of layers")
    dropout: float = setting(0.0, "chance that a value is dropped in training: between layers and before the head")
    noise: float = setting(
        0.0, "deviation of the noise on the values that are read in training, which steadies roll-outs"
    )
    relative: bool = setting(False, "learn the change since the last known value instead of the value")
    centred: bool = setting(False, "mode direct: the network reads each window less its last known value")
    segment: int = setting(
        0,
        "mode direct, kind recurrent: steps of the window that are read at once, as one step of the network (SegRNN); "
        "0: each step is one",
    )
    linear: int = setting(
        0,
        "mode direct: last values of each target that a linear map of its own reads beside the rest; 0: none",
    )
    linear_start: str = setting(
        "zeros",
        "what the linear map starts from: zeros, or ar, the AR baseline rolled out: the rest learns what it leaves",
    )
    shared: bool = setting(False, "one model that forecasts each target from its own past alone")
    order: int | None = setting(
        None, "kinds ar and narx: past values of the series that are read, K_y; null: the window"
    )
    order_inputs: int = setting(
        0, "kinds ar and narx: values of the inputs that are read, the present one included, K_x"
    )
    delays: int = setting(5, "kind tdnn: steps that each layer sees, the present one included")

    def __post_init__(self) -> None:
        require_choice("model.kind", self.kind, KINDS)
        require_choice("model.attention", self.attention, ATTENTIONS)
        if self.attention != "none" and self.kind != "encoder_decoder":
            raise ConfigError(
                f"model.attention={self.attention} belongs to model.kind=encoder_decoder, not to {self.kind}"
            )
        for name in ("hidden", "layers", "delays"):
            require_range(f"model.{name}", getattr(self, name), 1)
        for name in ("linear", "order_inputs", "noise", "segment"):
            require_range(f"model.{name}", getattr(self, name), 0)
        for name, size in self.widths.items():
            require_range(f"model.widths.{name}", size, 1)
        require_range("model.order", self.order, 0)
        require_choice("model.linear_start", self.linear_start, ("zeros", "ar"))
        require_range("model.dropout", self.dropout, 0, 0.99)


@dataclass
class SplitConfig:
    """Which steps are kept from training, in the order of time: to choose the best parameters, and to test them."""

    train: float | None = setting(
        None, "steps to learn from, the first ones: a fraction or a number; null: what is left"
    )
    valid: float = setting(0.1, "steps for validation, which come after them: a fraction below 1, or a number of rows")
    test: float = setting(
        0.2, "steps for testing, which come after those: a fraction, or a number of rows; of several series, whole ones"
    )

    def __post_init__(self) -> None:
        for name in ("train", "valid", "test"):
            require_range(f"split.{name}", getattr(self, name), 0)


@dataclass
class LossConfig:
    """What is minimised, and with it what a forecast says: a value, a distribution, or quantiles."""

    kind: str = setting(
        "mse",
        "mse, mae, huber: a value; gaussian, student: a distribution, −log p of what came; quantiles: at 5, 10 … 95 %",
    )
    delta: float = setting(1.0, "huber: size of an error from which on it counts linearly")

    def __post_init__(self) -> None:
        require_choice("loss.kind", self.kind, LOSSES)
        require_range("loss.delta", self.delta, 1e-6)


@dataclass
class BaselineConfig:
    """What every score is printed beside: the last value, the value a season before, and AR(K) by least squares."""

    order: int | None = setting(None, "K, past values that the AR baseline reads of each target; null: the window")

    def __post_init__(self) -> None:
        require_range("baseline.order", self.order, 1)


@dataclass
class ForecastConfig(TaskConfig):
    """All settings of a forecaster and its training."""

    task: str = setting("forecast", "the task: forecast, the next values of a series")
    data: str = setting(
        "", "what to learn: a table with one row a step (.csv, .tsv, .txt, packed or not), or builtin:NAME"
    )
    series: SeriesConfig = field(default_factory=SeriesConfig, metadata={"help": "the table"})
    forecast: ForecastingConfig = field(default_factory=ForecastingConfig, metadata={"help": "what from what"})
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"help": "the model"})
    recurrent: RecurrentConfig = field(
        default_factory=RecurrentConfig, metadata={"help": "noise and normalisation of the recurrence"}
    )
    train: LoopConfig = field(default_factory=LoopConfig, metadata={"help": "the way through the data"})
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig, metadata={"help": "how parameters change"})
    sampling: SamplingConfig = field(
        default_factory=SamplingConfig, metadata={"help": "scheduled sampling, of forecasts that are fed back"}
    )
    split: SplitConfig = field(default_factory=SplitConfig, metadata={"help": "what is kept from training"})
    loss: LossConfig = field(default_factory=LossConfig, metadata={"help": "what is minimised"})
    baseline: BaselineConfig = field(default_factory=BaselineConfig, metadata={"help": "what scores stand beside"})

    def __post_init__(self) -> None:
        model, forecast = self.model, self.forecast
        if model.linear and forecast.mode != "direct":
            raise ConfigError(f"model.linear={model.linear} belongs to forecast.mode=direct; leave it out")
        if model.centred and forecast.mode != "direct":
            raise ConfigError("model.centred=true belongs to forecast.mode=direct; leave it out")
        whole = forecast.mode == "direct" and model.kind == "recurrent"
        if model.segment and (not whole or forecast.window % model.segment):
            raise ConfigError(
                f"model.segment={model.segment} reads a window in equal parts: set forecast.mode=direct, "
                f"model.kind=recurrent and forecast.window, which is {forecast.window}, to a multiple of it"
            )
        if forecast.calibration != "none" and self.loss.kind in POINTS:
            raise ConfigError(
                f"forecast.calibration={forecast.calibration} is for bands, and loss.kind={self.loss.kind} gives "
                "points alone: set loss.kind to gaussian, student or quantiles"
            )
        sizes = {
            "model.linear": model.linear,
            "model.order": model.order or 0,
            "baseline.order": self.baseline.order or 0,
        }
        for name, size in sizes.items():
            if size > forecast.window:
                raise ConfigError(f"{name}={size} is more than forecast.window={forecast.window}: raise the window")
        if model.linear_start == "ar" and model.relative:
            raise ConfigError(
                "model.linear_start=ar forecasts from values, and model.relative=true gives it their changes: leave "
                "one of them out"
            )
        if model.linear_start == "ar" and (self.baseline.order or forecast.window) > model.linear:
            raise ConfigError(
                f"model.linear_start=ar needs model.linear to be at least the order of the AR baseline, "
                f"{self.baseline.order or forecast.window}: raise it, or lower baseline.order"
            )
        if self.series.past and forecast.mode != "direct":
            raise ConfigError(
                f"series.past cannot be read in forecast.mode={forecast.mode}, where it would have to be known at "
                "the steps to forecast: list the columns in series.targets, so that they are forecast too, or in "
                "series.ahead"
            )
        if self.sampling.schedule != "none" and self.feedback != "own":
            raise ConfigError(
                f"sampling.schedule={self.sampling.schedule} is for forecasts that are fed back: set "
                "forecast.mode=rollout, or forecast.feedback=own in the mode step"
            )
        if model.kind == "encoder_decoder" and (forecast.mode != "rollout" or forecast.window < 2):
            raise ConfigError(
                "model.kind=encoder_decoder reads a window of 2 steps or more and runs over the steps ahead: set "
                f"forecast.mode=rollout and forecast.window, which is {forecast.window}"
            )
        if model.relative and self.feedback == "none":
            raise ConfigError(
                "model.relative=true needs the last known value: set forecast.feedback to measured or own"
            )
        if model.kind == "ar" and self.feedback == "none":
            raise ConfigError("model.kind=ar reads the series' past: set forecast.feedback to measured or own")

    @property
    def feedback(self) -> str:
        """What is read of the series' own past: true, own or none."""
        if self.forecast.mode == "direct":
            return "measured"
        if self.forecast.mode == "rollout":
            return "own"
        if self.forecast.feedback == "auto":
            return "own" if self.model.kind in ("narx", "ar") else "none"
        return self.forecast.feedback


def names(text: str) -> tuple[str, ...]:
    """The names in a setting that lists them, parted by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
