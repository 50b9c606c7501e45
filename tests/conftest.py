"""What tests of several rooms need."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of the standard data sets, which are not part of the repository."""
    folder = Path(os.environ.get("RECURRA_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the data sets are not in {folder}: set RECURRA_DATA to the folder that holds them")
    return folder
