"""Settings every test runs under."""

import os

import hypothesis
import pytest

# The workers share few cores: a slow moment is no failure. The printed blob replays a failing case anywhere.
hypothesis.settings.register_profile(
    "suite", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _one_thread_per_worker() -> None:
    """Threads on top of the xdist workers only get in each other's way (commands started by tests inherit this)."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@pytest.fixture(autouse=True)
def _nothing_written_here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in an empty folder: code that reads or writes beside itself by accident fails."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
