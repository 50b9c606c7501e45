"""The doctor's report."""

import pytest

from recurra.deploy import doctor
from recurra.engines import library


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_SECONDS", 0.002)
    monkeypatch.setattr(doctor, "_REPETITIONS", 2)


def test_the_diagnosis_holds_versions_engines_and_rates() -> None:
    found = doctor.diagnose()
    assert {"recurra", "Python", "torch"} <= found.versions.keys()
    assert found.instruction_set in found.instruction_sets
    assert found.engines["native"].startswith("available")
    peak, product, torch_product = found.rates
    assert peak.one_core and peak.all_cores and product.one_core and product.all_cores
    assert torch_product.one_core or torch_product.all_cores


def test_the_report_names_the_instruction_set_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECURRA_ISA", "baseline")
    text = doctor.report()
    assert "baseline (in use)" in text
    assert "multiply-add peak" in text and "torch.mm" in text


def test_the_report_says_why_an_engine_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> library.Kernels:
        raise library.NativeLibraryError("the native library was not found")

    monkeypatch.setattr(library, "kernels", missing)
    text = doctor.report()
    assert "native  not available: the native library was not found" in text
    assert "torch.mm" in text and "peak" not in text
