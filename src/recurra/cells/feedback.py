"""Networks whose output comes back in.

What comes back here is the output that the network predicted. With the option `feedback` of a layer it is the true one,
or a sample.
"""

from recurra.cells.activations import nonlinear
from recurra.equations import Value, affine, cell


@cell(state={"y": "O"})
def jordan(x: Value, y: Value, *, activation: str = "tanh", output: str = "linear"):
    """Jordan network (after Jordan 1986): the output, its layer inside the cell, is all that feeds back.

    The last output alone: in the paper, state units keep a fading trace of the outputs before it, too.
    """
    h = nonlinear(activation)(affine("h", x, y))
    y = nonlinear(output)(affine("y", h, width="O"))
    return y, (y,)


@cell(state={"h": "H", "y": "O"})
def back_projection(x: Value, h: Value, y: Value, *, activation: str = "tanh", output: str = "linear"):
    """Elman network with back projections: the output feeds back beside h (as in Jaeger 2001, there untrained)."""
    h = nonlinear(activation)(affine("h", x, h, y))
    y = nonlinear(output)(affine("y", h, width="O"))
    return y, (h, y)
