"""Compare the installed package with the repository: every module and data file must have been shipped.

Usage: check_installed.py REPOSITORY, run by the interpreter of the environment the wheel was installed into.
"""

import importlib.util
import sys
from pathlib import Path

SHIPPED = {
    "timeloop_py": "",
    "arch_specs": "data/arch_specs",
    "workloads": "data/workloads",
    "energy_tables": "data/energy_tables",
}


def files(folder: Path) -> set[str]:
    """Paths of the files below a folder, relative to it, byte code left out."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def main() -> None:
    repository = Path(sys.argv[1]).resolve()
    spec = importlib.util.find_spec("timeloop_py")
    if spec is None or spec.origin is None:
        raise SystemExit("timeloop_py is not installed")
    package = Path(spec.origin).resolve().parent
    if repository in package.parents:
        raise SystemExit(f"timeloop_py comes from the checkout ({package}), not from the wheel")
    missing = [
        f"{source}/{name}"
        for source, target in SHIPPED.items()
        for name in sorted(files(repository / source) - files(package / target))
    ]
    if missing:
        raise SystemExit("missing from the wheel: " + ", ".join(missing))
    print(f"{sum(len(files(repository / source)) for source in SHIPPED)} files shipped, none missing")


if __name__ == "__main__":
    main()
