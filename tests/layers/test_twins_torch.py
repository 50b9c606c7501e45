"""What torch offers around a module works for RNN, LSTM and GRU: compilation, torch.func, autocast, copies."""

import copy
import io
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.nn.utils.rnn import pack_padded_sequence

import recurra

LAYERS = {
    "RNN": lambda **o: recurra.RNN(3, 5, **o),
    "LSTM": lambda **o: recurra.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2, **o),
    "GRU": lambda **o: recurra.GRU(3, 5, num_layers=2, dropout=0.5, **o),
}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """The same numbers in every run, on one thread: fast also where the processor is shared."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def with_gradients(layer: nn.Module, call: Any, x: Tensor) -> list[Tensor]:
    """The output of a call, and the gradients of its squares."""
    output = call(x)[0]
    return [output, *torch.autograd.grad(output.square().sum(), [x, *layer.parameters()])]


def assert_same(found: list[Tensor], expected: list[Tensor], tolerance: float = 0.0) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_it_compiles_whole_and_is_not_unrolled(name: str, dtype: torch.dtype):
    layer = LAYERS[name](dtype=dtype).eval()
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, examples: list[Tensor]) -> Any:
        from torch._dynamo.backends.debugging import aot_eager

        graphs.append(graph)
        return aot_eager(graph, examples)

    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    for steps, rows in ((3, 4), (50, 6), (70, 7)):
        x = torch.randn(steps, rows, 3, dtype=dtype, requires_grad=True)
        assert_same(with_gradients(layer, compiled, x), with_gradients(layer, layer, x), 1e-6)
    sweeps = [sum("recurra.sweep" in str(node.target) for node in graph.graph.nodes) for graph in graphs]
    assert sweeps == [layer.num_layers * (2 if layer.bidirectional else 1)] * 2  # for fixed sizes, then for any


def test_a_compiled_layer_drops_out_while_it_trains_and_runs_without_gradients():
    layer = recurra.GRU(3, 5, num_layers=2, dropout=0.5, batch_first=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 4, 3)
    assert not torch.equal(compiled(x)[0], compiled(x)[0])
    layer.eval()
    with torch.no_grad():
        output, final = compiled(x, torch.ones(2, 2, 5))
        assert_same([output, final], list(layer(x, torch.ones(2, 2, 5))))
    frozen = layer.requires_grad_(False)
    x.requires_grad_()
    assert_same([*torch.autograd.grad(compiled(x)[0].sum(), x)], [*torch.autograd.grad(frozen(x)[0].sum(), x)])


@pytest.mark.parametrize("with_states", [False, True])
def test_a_packed_sequence_compiles_whole(with_states: bool):
    layer = recurra.LSTM(3, 5, bidirectional=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for lengths in ([4, 2], [1, 3, 3]):
        x = torch.randn(4, len(lengths), 3, requires_grad=True)
        states = (torch.randn(2, len(lengths), 5),) * 2 if with_states else None

        def call(run: Any, x: Tensor = x, states: Any = states, lengths: list[int] = lengths) -> list[Tensor]:
            packed, (_, c) = run(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), states)
            return [packed.data, c, *torch.autograd.grad(packed.data.square().sum(), [x, *layer.parameters()])]

        assert_same(call(compiled), call(layer))


def test_it_compiles_for_the_default_backend():
    """Without biases there is nothing to generate code for: this takes no C++ compiler."""
    layer = recurra.LSTM(3, 5, bias=False)
    x = torch.randn(4, 2, 3, requires_grad=True)
    assert_same(with_gradients(layer, torch.compile(layer, fullgraph=True), x), with_gradients(layer, layer, x))


def test_it_exports():
    layer = recurra.GRU(3, 5, bidirectional=True).eval()
    steps = torch.export.Dim("steps", min=2, max=100)
    program = torch.export.export(layer, (torch.randn(4, 2, 3),), dynamic_shapes={"input": {0: steps}})
    x = torch.randn(9, 2, 3)
    torch.testing.assert_close(program.module()(x)[0], layer(x)[0])


@pytest.mark.filterwarnings("ignore")  # a trace warns of everything it takes for constant
def test_it_is_traced():
    layer, x = recurra.LSTM(3, 5), torch.randn(4, 2, 3)
    torch.testing.assert_close(torch.jit.trace(layer, (x,))(x)[0], layer(x)[0])


@pytest.mark.parametrize("name", LAYERS)
def test_copies_are_equal_and_apart(name: str):
    layer, x = LAYERS[name]().eval(), torch.randn(4, 2, 3)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(file, weights_only=False),
    ):
        assert_same([other(x)[0]], [layer(x)[0]])
        with torch.no_grad():
            other.weight_hh_l0.zero_()
        assert not torch.equal(other(x)[0], layer(x)[0])


def test_functional_call_takes_other_parameters():
    layer, other, x = recurra.LSTM(3, 5), recurra.LSTM(3, 5), torch.randn(4, 2, 3)
    assert_same([functional_call(layer, dict(other.named_parameters()), (x,))[0]], [other(x)[0]])


@pytest.mark.parametrize("name", LAYERS)
def test_an_ensemble_runs_under_vmap(name: str, caplog: pytest.LogCaptureFixture):
    recurra.engines.sweep._tell.cache_clear()
    models, x = [LAYERS[name]().eval() for _ in range(3)], torch.randn(4, 2, 3)
    parameters, buffers = stack_module_state(models)
    base = copy.deepcopy(models[0]).to("meta")
    with caplog.at_level(logging.INFO, "recurra.engines"):
        outputs = vmap(lambda p, b: functional_call(base, (p, b), (x,))[0])(parameters, buffers)
    assert_same(list(outputs), [m(x)[0] for m in models], 1e-6)
    assert "eager engine" in caplog.text and "torch.func" in caplog.text


def test_gradients_of_each_sample():
    layer, xs = recurra.LSTM(3, 5, batch_first=True), torch.randn(6, 4, 3)
    parameters = dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(layer, parameters, (x[None],))[0].square().sum()

    found = vmap(grad(loss), in_dims=(None, 0))(parameters, xs)
    for k, x in enumerate(xs):
        expected = torch.autograd.grad(loss(parameters, x), list(parameters.values()))
        assert_same([found[name][k] for name in parameters], list(expected), 1e-5)


def test_derivatives_forward_and_twice():
    layer, x = recurra.GRU(3, 4, dtype=torch.float64), torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    output, tangent = jvp(lambda x: layer(x)[0], (x,), (torch.ones_like(x),))
    (gradient,) = torch.autograd.grad(output.sum(), x)
    torch.testing.assert_close(gradient.sum(), tangent.sum())
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


def test_many_gradients_at_once():
    layer, x = recurra.LSTM(3, 5), torch.randn(4, 2, 3, requires_grad=True)
    output, many = layer(x)[0], torch.randn(6, 4, 2, 5)
    wanted = [x, *layer.parameters()]
    found = torch.autograd.grad(output, wanted, many, is_grads_batched=True, retain_graph=True)
    for k, gradient in enumerate(many):
        assert_same([f[k] for f in found], list(torch.autograd.grad(output, wanted, gradient, retain_graph=True)), 1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_autocast_runs_in_the_dtype_of_the_parameters_and_says_so(compiled: bool, caplog: pytest.LogCaptureFixture):
    recurra.layers.twins._tell_autocast.cache_clear()
    layer, x = recurra.LSTM(3, 5), torch.randn(4, 2, 3)
    run: Any = torch.compile(layer, fullgraph=True, backend="aot_eager") if compiled else layer
    states = torch.zeros(1, 2, 5).bfloat16(), torch.zeros(1, 2, 5)
    with torch.autocast("cpu", torch.bfloat16), caplog.at_level(logging.INFO, "recurra.engines"):
        outputs = run(x)[0], run(x, states)[0], run(x.bfloat16())[0]
    assert all(y.dtype is torch.float32 for y in outputs)
    assert_same([outputs[0], outputs[1]], [layer(x)[0]] * 2)
    assert_same([outputs[2]], [layer(x.bfloat16().float())[0]])
    if not compiled:
        assert caplog.text.count("LSTM runs in float32 under autocast") == 1


def test_packed_under_autocast():
    layer, x = recurra.GRU(3, 5), torch.randn(4, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        packed, _ = layer(pack_padded_sequence(x.bfloat16(), torch.tensor([4, 2])))
    assert packed.data.dtype is torch.float32


def test_other_dtypes_and_devices():
    layer = recurra.LSTM(3, 5, dtype=torch.bfloat16)
    assert layer(torch.zeros(4, 2, 3, dtype=torch.bfloat16))[0].dtype is torch.bfloat16
    assert layer.double()(torch.zeros(4, 2, 3, dtype=torch.float64))[0].dtype is torch.float64
    assert recurra.GRU(3, 5, device="meta")(torch.zeros(4, 2, 3, device="meta"))[0].shape == (4, 2, 5)


def test_the_engine_may_be_chosen():
    layer, x = recurra.LSTM(3, 5), torch.randn(4, 2, 3)
    expected = layer(x)[0]
    layer.engine = "eager"
    assert_same([layer(x)[0]], [expected], 1e-6)
    layer.engine = "native"
    with pytest.raises(ValueError, match="the native engine cannot serve this call: it computes in float32"):
        layer.double()(x.double())
    layer.engine = "nativ"
    with pytest.raises(ValueError, match="did you mean 'native'"):
        layer(x.double())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("packed", [False, True])
def test_torchs_own_kernels_serve_a_gpu(name: str, packed: bool, monkeypatch: pytest.MonkeyPatch):
    """They run on the CPU as well: what is tested here is that a module of ours is one they take."""
    layer = LAYERS[name]().eval()
    layer.engine = "cudnn"
    x: Any = torch.randn(4, 2, 3)
    if packed:
        x = pack_padded_sequence(x, torch.tensor([2, 4]), enforce_sorted=False)
    with pytest.raises(ValueError, match="the cudnn engine cannot serve this call: it runs on CUDA"):
        layer(x)
    monkeypatch.setattr(type(layer), "_is_torchs", lambda self, _: self.engine == "cudnn")
    output, state = layer(x)
    assert type(output.grad_fn if not packed else output.data.grad_fn).__name__ != "_SweepBackward"
    expected, _ = layer(x, state)  # its own states in torch's order
    layer.engine = "auto"
    torch.testing.assert_close(layer(x)[0], output)
    torch.testing.assert_close(layer(x, state)[0], expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", LAYERS)
def test_on_a_gpu(name: str):
    layer, x = LAYERS[name]().eval(), torch.randn(4, 2, 3)
    expected = layer(x)[0]
    layer = layer.cuda()
    torch.testing.assert_close(layer(x.cuda())[0].cpu(), expected, rtol=1e-4, atol=1e-5)
    layer.engine = "eager"
    torch.testing.assert_close(layer(x.cuda())[0].cpu(), expected, rtol=1e-4, atol=1e-5)
