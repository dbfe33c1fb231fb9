"""Runs of the paper, shared by the tests of this folder."""

import pytest

from timeloop_py.claims.scnn.runs import LITERATURE, Runs
from timeloop_py.claims.scnn.system import system_of


@pytest.fixture(scope="session")
def runs() -> Runs:
    """The paper's runs under the calibrated energies."""
    return Runs()


@pytest.fixture(scope="session")
def literature() -> Runs:
    """The same with every energy from the literature."""
    return Runs(LITERATURE)


@pytest.fixture(scope="session")
def scnn(runs, literature):
    """The paper's ledger with what measures it."""
    return system_of(runs, literature)
