"""States that are only delayed inputs."""

from recurra import cells
from recurra.equations import Value, affine, cell, tanh
from recurra.equations.program import Program
from recurra.equations.rewrite import resets, teacher_forcing, zoneout
from recurra.equations.schedule import Region
from recurra.equations.shifting import shifting


@cell(state={"p": "I", "q": "I", "h": "H"})
def delay_line(x: Value, p: Value, q: Value, h: Value):
    """A window of three inputs, read by a simple network."""
    h = tanh(affine("h", x, p, q, h))
    return h, (x, p, h)


def products(program: Program, region: Region) -> list[str]:
    stages = program.inference.stages.get(region, [])
    return [n.attr[0] for stage in stages for n in stage.products]


def test_a_delayed_input_is_an_input_whose_products_leave_the_loop():
    found = shifting(cells.get("qrnn"))
    assert found is not None and found.delayed == {"p": "x"}
    assert list(found.cell.inputs) == ["x", "p"] and list(found.cell.states) == ["c"]
    program = Program(cells.get("qrnn"))
    assert products(program, Region.LOOP) and not products(program.swept, Region.LOOP)
    assert program.swept.parameters.keys() == program.parameters.keys()


def test_taps_further_back_follow():
    program = Program(delay_line)
    assert list(program.swept.cell.states) == ["h"]
    assert list(program.swept.cell.inputs) == ["x", "p", "q"]
    assert products(program.swept, Region.LOOP) == ["U_h3"]
    assert program.swept.parameters.keys() == program.parameters.keys()


def test_what_is_more_than_a_delay_stays():
    assert shifting(cells.get("lstm")) is None
    assert shifting(zoneout(cells.get("qrnn"))) is None
    assert Program(cells.get("lstm")).swept.cell is cells.get("lstm")


def test_rewritten_cells_have_delays_too():
    reset = shifting(resets(cells.get("qrnn")))
    assert reset is not None and reset.delayed == {"p": "x"}
    taught = shifting(teacher_forcing(cells.get("jordan")))
    assert taught is not None and taught.delayed == {"y": "true_y"}
