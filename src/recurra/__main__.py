"""`python -m recurra` and `torchrun -m recurra` are the command `recurra`."""

import sys

from recurra.cli.main import main

sys.exit(main())
