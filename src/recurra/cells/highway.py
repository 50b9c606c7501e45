"""Recurrent highway networks."""

from recurra.equations import CellError, Value, affine, cell, sigmoid, tanh


@cell(state=("s",))
def recurrent_highway(x: Value, s: Value, *, depth: int = 2, coupled: bool = True):
    """Recurrent highway network (Zilly et al. 2017): `depth` layers a step; carries 1 − t, or c where not `coupled`."""
    if depth < 1:
        raise CellError(f"depth={depth} leaves a highway without a layer", "Choose a depth of at least 1")
    for k in range(1, depth + 1):
        operands = (x, s) if k == 1 else (s,)
        h = tanh(affine(f"h{k}", *operands))
        t = sigmoid(affine(f"t{k}", *operands))
        c = 1 - t if coupled else sigmoid(affine(f"c{k}", *operands))
        s = h * t + s * c
    return s, (s,)
