import pytest
import torch

from recurra.layers import Attention, Decoder, Recurrent
from recurra.models import EncodedMemory, Forecaster, Outlook, RecurrentMemory, ScheduledSampling, Way
from recurra.models.encoder import last_states

B, W, h = 3, 7, 4


def forecaster(
    kind: str = "mse", mode: str = "direct", feedback: str = "measured", body: str = "recurrent", **options
) -> Forecaster:
    torch.manual_seed(0)
    sampling = ScheduledSampling(**options.pop("sampling")) if "sampling" in options else None
    way = Way(mode, feedback, h, targets=2, **options)
    return made(kind, way, memory(body, way.inputs), sampling)


def memory(body: str, inputs: int) -> RecurrentMemory | EncodedMemory:
    recurrent = Recurrent("gru", inputs, 5)
    if body == "recurrent":
        return RecurrentMemory(recurrent)
    attention = None if body == "encoded" else Attention()
    return EncodedMemory(
        recurrent, Decoder("lstm", inputs, 5, memory_size=5 if attention else 0, attention=attention), W
    )


def made(kind: str, way: Way, body: RecurrentMemory | EncodedMemory, sampling: ScheduledSampling | None) -> Forecaster:
    steps = h if way.mode == "direct" else 1
    model = Forecaster(body, Outlook(kind, 5 + way.features, steps, way.series), way, sampling)
    if model.skip is not None:
        torch.nn.init.normal_(model.skip)
    return model.eval()


def batch(past: int = 0, ahead: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(B, W, 2 + past + ahead), torch.randn(B, h, ahead), torch.randn(B, h, 2)


WAYS = [
    {"mode": "direct", "past": 1, "ahead": 2},
    {"mode": "direct", "linear": 3, "relative": True},
    {"mode": "direct", "linear": 3, "centred": True, "relative": True, "shared": True},
    {"mode": "direct", "shared": True, "past": 1, "ahead": 1, "linear": 2},
    {"mode": "rollout", "feedback": "own", "ahead": 1},
    {"mode": "rollout", "feedback": "own", "shared": True, "relative": True},
    {"mode": "rollout", "feedback": "own", "ahead": 1, "body": "encoded", "relative": True},
    {"mode": "rollout", "feedback": "own", "shared": True, "body": "attending"},
    {"mode": "step", "feedback": "none", "ahead": 2},
    {"mode": "step", "feedback": "measured", "ahead": 1, "relative": True},
    {"mode": "step", "feedback": "own", "ahead": 1},
]


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("kind", ["mse", "gaussian"])
def test_every_way_gives_a_forecast_of_its_shape(options, kind):
    model = forecaster(kind, **options)
    given = batch(options.get("past", 0), options.get("ahead", 0))
    assert model(*given).shape == (B, h, 2, 2 if kind == "gaussian" else 1)
    found = model.forecast(*given, paths=5)
    assert found.point.shape == (B, h, 2) and found.quantiles.shape == (B, h, 2, 1 if kind == "mse" else 19)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_no_forecast_sees_what_it_is_for(options):
    """Each step may depend on true values before it only where it is said to read them, and never on its own."""
    model = forecaster(**options)
    past, ahead, targets = batch(options.get("past", 0), options.get("ahead", 0))
    for step in range(h):
        changed = targets.clone()
        changed[:, step:] += 10
        before = model.forecast(past, ahead, targets).point[:, : step + 1]
        after = model.forecast(past, ahead, changed).point[:, : step + 1]
        assert torch.equal(before, after)
        if options["mode"] != "direct":  # a forecast made at once reads all inputs known ahead
            later = ahead.clone()
            later[:, step + 1 :] += 10
            assert torch.equal(model.forecast(past, later, targets).point[:, : step + 1], before)


@pytest.mark.parametrize("options", [way for way in WAYS if way.get("shared")], ids=str)
def test_a_shared_model_reads_a_target_from_its_own_past_alone(options):
    model = forecaster(**options)
    past, ahead, _ = batch(options.get("past", 0), options.get("ahead", 0))
    other = past.clone()
    other[..., 1] += 3
    first, second = (model.forecast(one, ahead).point for one in (past, other))
    assert torch.equal(first[..., 0], second[..., 0]) and not torch.allclose(first[..., 1], second[..., 1])
    if model.skip is not None:
        model.skip.data[1] = model.skip.data[0]  # the one thing that each target has of its own
        first = model.forecast(past, ahead).point
    # The same values in the other's place give the other's forecast.
    swapped = torch.cat([past[..., :2].flip(-1), past[..., 2:]], -1)
    assert torch.allclose(model.forecast(swapped, ahead).point, first.flip(-1), atol=1e-6)


def test_a_linear_start_must_fit():
    with pytest.raises(ValueError, match="make it with linear=3"):
        forecaster(linear=2).start(torch.zeros(2, 3, h), torch.zeros(2, h))


def test_what_is_centred_and_relative_knows_no_level():
    """A shift of the whole series shifts the forecast and changes nothing else; inputs are read as they are."""
    model = forecaster(linear=3, relative=True, centred=True, past=1)
    past, ahead, _ = batch(past=1)
    other = past.clone()
    other[..., 2] += 5
    assert not torch.allclose(model.forecast(other, ahead).point, model.forecast(past, ahead).point, atol=1e-5)
    other = past.clone()
    other[..., :2] += 5
    assert torch.allclose(model.forecast(other, ahead).point, model.forecast(past, ahead).point + 5, atol=1e-5)


def test_calibrated_quantiles_are_moved_and_stay_in_order():
    model = forecaster("gaussian", calibrated=True)
    past, ahead, _ = batch()
    before = model.forecast(past, ahead)
    assert torch.equal(before.quantiles, before.uncalibrated)
    shift = torch.zeros(h, 2, 19)
    shift[1, 0] = torch.linspace(3, -3, 19)
    model.calibrate(shift)
    after = model.forecast(past, ahead)
    assert torch.equal(after.point, before.point) and torch.equal(after.uncalibrated, before.quantiles)
    assert torch.equal(after.quantiles[:, 0], before.quantiles[:, 0]) and (after.quantiles.diff(dim=-1) >= 0).all()
    assert torch.allclose(after.quantiles[:, 1, 0], (before.quantiles[:, 1, 0] + shift[1, 0]).sort().values)
    with pytest.raises(ValueError, match="calibrated=True"):
        forecaster("gaussian").calibrate(shift)


OWN = [way for way in WAYS if way.get("feedback") == "own"]


@pytest.mark.parametrize("options", OWN, ids=str)
def test_a_roll_out_reads_its_own_forecasts(options):
    model = forecaster(**options)
    past, ahead, _ = batch(ahead=options.get("ahead", 0))
    rolled = model.roll_out(past, ahead)
    # Given its own forecasts as true values, one pass over the whole gives the same.
    assert torch.allclose(model(past, ahead, rolled)[..., 0], rolled, atol=1e-6)


@pytest.mark.parametrize("way", ["exact", "parallel"])
@pytest.mark.parametrize("options", OWN, ids=str)
def test_scheduled_sampling_reads_some_of_its_own_forecasts(options, way):
    given, found = batch(ahead=options.get("ahead", 0)), {}
    for k in (1.0, 0.0):
        sampling = {"schedule": "linear", "k": k, "way": way, "feed": "best"}
        found[k] = forecaster(**options, sampling=sampling).train()(*given)
    model = forecaster(**options)
    assert torch.equal(found[1.0], model(*given))
    own = model.roll_out(*given[:2]) if way == "exact" else model(*given)[..., 0]
    assert torch.allclose(found[0.0], model(given[0], given[1], own), atol=1e-6)
    assert not torch.allclose(found[0.0], found[1.0], atol=1e-4)


def test_sampled_forecasts_need_a_way_that_feeds_them_back():
    with pytest.raises(ValueError, match="for forecasts that are fed back"):
        forecaster(sampling={"schedule": "linear"})


@pytest.mark.parametrize("shared", [False, True])
def test_attention_is_that_of_the_expected_path(shared):
    model = forecaster("gaussian", "rollout", "own", "attending", shared=shared)
    past, ahead, _ = batch()
    weights = model.attention(past, ahead)
    assert weights.shape == (B, h, W - 1)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, h))
    if not shared:  # step after step, along what the model itself expects
        body, read = model.body, torch.cat([past[:, -1:], model.roll_out(past, ahead)[:, :-1]], 1)
        memory, ended = body.encoder(past[:, :-1])
        attended, state = body.decoder.attend(memory), body.decoder.start(body.bridge(last_states(body.encoder, ended)))
        for step in range(h):
            _, state, seen = body.decoder.step(read[:, step], state, attended)
            torch.testing.assert_close(weights[:, step], seen)
    assert forecaster("mse", "rollout", "own", "encoded").attention(past, ahead) is None
    assert forecaster("mse", "rollout", "own").attention(past, ahead) is None


def test_a_window_of_one_step_cannot_be_encoded():
    with pytest.raises(ValueError, match="at least 2"):
        EncodedMemory(Recurrent("gru", 2, 5), Decoder("gru", 2, 5), 1)


@pytest.mark.parametrize("body", ["encoded", "attending"])
def test_the_whole_window_is_read(body):
    model = forecaster(mode="rollout", feedback="own", body=body)
    past, ahead, _ = batch()
    found = model.roll_out(past, ahead)
    for step in range(W):
        other = past.clone()
        other[:, step] += 1
        assert (model.roll_out(other, ahead) - found).abs().amax((0, 2)).min() > 1e-7


@pytest.mark.parametrize("body", ["recurrent", "encoded", "attending"])
def test_sample_paths_of_a_seed_are_the_same_and_spread(body):
    model = forecaster("gaussian", mode="rollout", feedback="own", shared=True, body=body)
    past, ahead, _ = batch()
    drawn = [
        model.roll_out(past, ahead, paths=50, generator=torch.Generator().manual_seed(seed)).unflatten(0, (B, 50))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert (drawn[0].std(1) > 0).all()


def test_in_step_a_whole_series_and_step_by_step_agree():
    model = forecaster(mode="step", feedback="measured", ahead=1, relative=True)
    inputs = torch.randn(1, 6, 3)
    whole, _ = model.advance(inputs)
    state, parts = None, []
    for step in range(6):
        part, state = model.advance(inputs[:, step : step + 1], state)
        parts.append(part)
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-6) and whole.shape == (1, 6, 2, 1)


def test_noise_is_for_training_alone():
    model = forecaster(noise=0.5)
    given = batch()
    assert torch.equal(model(*given), model(*given))
    model.train()
    assert not torch.equal(model(*given), model(*given))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "onward"}, "mode 'onward' is none of direct"),
        ({"feedback": "some"}, "feedback 'some' is none of measured"),
        ({"mode": "rollout", "feedback": "own", "past": 1}, "known up to the present alone"),
        ({"mode": "step", "feedback": "none"}, "give one of them"),
    ],
)
def test_ways_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        forecaster(**options)
