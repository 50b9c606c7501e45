"""Long short-term memory, and what becomes of it when a gate is left out."""

from recurra.equations import Value, affine, cell, sigmoid, tanh


@cell(state=("h", "c"))
def lstm(x: Value, h: Value, c: Value, *, bias: bool = True):
    """Long short-term memory with a forget gate (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000)."""
    i = sigmoid(affine("i", x, h, bias=bias))
    f = sigmoid(affine("f", x, h, bias=bias))
    g = tanh(affine("g", x, h, bias=bias))
    o = sigmoid(affine("o", x, h, bias=bias))
    c = f * c + i * g
    h = o * tanh(c)
    return h, (h, c)


@cell(state=("h", "c"))
def lstm_no_forget_gate(x: Value, h: Value, c: Value):
    """LSTM without a forget gate, as first published (Hochreiter & Schmidhuber 1997, with scaled sigmoids for tanh)."""
    i = sigmoid(affine("i", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = c + i * g
    h = o * tanh(c)
    return h, (h, c)


@cell(state=("h", "c"))
def lstm_no_input_gate(x: Value, h: Value, c: Value):
    """LSTM without an input gate (NIG of Greff et al. 2017, "LSTM: A search space odyssey", there with peepholes)."""
    f = sigmoid(affine("f", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + g
    h = o * tanh(c)
    return h, (h, c)


@cell(state=("h", "c"))
def lstm_no_output_gate(x: Value, h: Value, c: Value):
    """LSTM without an output gate (NOG of Greff et al. 2017, "LSTM: A search space odyssey", there with peepholes)."""
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    h = tanh(c)
    return h, (h, c)


@cell(state=("h", "c"))
def coupled_lstm(x: Value, h: Value, c: Value):
    """LSTM whose input gate is what its forget gate leaves (CIFG of Greff et al. 2017, there with peepholes)."""
    f = sigmoid(affine("f", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + (1 - f) * g
    h = o * tanh(c)
    return h, (h, c)


@cell(state={"h": "P", "c": "H"})
def projected_lstm(x: Value, h: Value, c: Value, *, bias: bool = True):
    """LSTM that projects its output to a width P of its own, and feeds that back.

    Without the peepholes it has in its paper (Sak, Senior & Beaufays 2014), as in torch.
    """
    i = sigmoid(affine("i", x, h, bias=bias))
    f = sigmoid(affine("f", x, h, bias=bias))
    g = tanh(affine("g", x, h, bias=bias))
    o = sigmoid(affine("o", x, h, bias=bias))
    c = f * c + i * g
    h = affine("p", o * tanh(c), width="P", bias=False)
    return h, (h, c)
