"""Settings every test runs under."""

import os
from typing import Any

import hypothesis
import pytest

# The workers share few cores: a slow moment is no failure. The printed blob replays a failing case anywhere.
hypothesis.settings.register_profile(
    "suite", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")


#: Tests that take longest, longest first: begun last, one of them would keep one worker busy while the others are done.
LONGEST = (
    "tests/claims/test_reproduce_command.py",
    "tests/claims/",
    "tests/notebooks/",
    "tests/mapper/test_exact.py",
    "tests/nest/test_traffic_brute_force.py",
    "tests/model/test_formulas.py",
    "tests/mapper/",
    "tests/explore/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first; the order is kept otherwise, so that what tests of a file share stays together."""

    def place(item: pytest.Item) -> int:
        return next((rank for rank, name in enumerate(LONGEST) if item.nodeid.startswith(name)), len(LONGEST))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker runs the tests of the claims, which share the paper's runs; all others go where a worker is free."""
    from xdist.scheduler import LoadScopeScheduling

    class ClaimsTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "claims" if nodeid.startswith("tests/claims/") else nodeid

    # Any other way of distributing tests was asked for.
    return ClaimsTogether(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(scope="session", autouse=True)
def _one_thread_per_worker() -> None:
    """Threads on top of the xdist workers only get in each other's way (commands started by tests inherit this)."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@pytest.fixture(autouse=True)
def _nothing_written_here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in an empty folder: code that reads or writes beside itself by accident fails."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
