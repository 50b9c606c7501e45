"""Speed side by side with other libraries, on this machine, in one run."""

from recurra.deploy.bench.cases import KINDS, PEERS, Shape, standard_shapes
from recurra.deploy.bench.run import Options, Report, measure
from recurra.deploy.bench.table import as_json, as_text

__all__ = ["KINDS", "PEERS", "Options", "Report", "Shape", "as_json", "as_text", "measure", "standard_shapes"]
