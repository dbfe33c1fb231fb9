"""Shipped specs by name, files by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from timeloop_py.specs import library
from timeloop_py.specs.errors import SpecError

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as a wheel lays it out, with specs of its own."""
    package = tmp_path / "site-packages" / "timeloop_py"
    for name in ("scnn", "dcnn_opt"):
        path = package / "data" / "arch_specs" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("name: x\n", encoding="utf-8")
    (package / "data" / "arch_specs" / "README.md").write_text("not a spec", encoding="utf-8")
    monkeypatch.setattr(library, "_PACKAGE", package)
    return package


def test_a_checkout_has_its_specs_at_the_top() -> None:
    assert library.folder("workloads") == REPOSITORY / "workloads"
    assert {"alexnet", "googlenet", "synthetic", "vgg16"} <= set(library.names("workloads"))
    assert library.find("workloads", "vgg16") == REPOSITORY / "workloads" / "vgg16.yaml"


def test_an_installed_package_has_them_inside(installed: Path) -> None:
    assert library.names("arch_specs") == ["dcnn_opt", "scnn"]
    assert library.find("arch_specs", "scnn") == installed / "data" / "arch_specs" / "scnn.yaml"


@pytest.mark.usefixtures("installed")
def test_a_hyphen_is_an_underscore() -> None:
    assert library.find("arch_specs", "dcnn-opt") == library.find("arch_specs", "dcnn_opt")


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "my-net.yaml"
    mine.write_text("name: mine\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert library.find("workloads", mine) == mine
    assert library.find("workloads", str(mine)) == mine
    assert library.find("workloads", "my-net.yaml") == Path("my-net.yaml")
    (tmp_path / "plain").write_text("name: mine\n", encoding="utf-8")
    assert library.find("workloads", "./plain") == Path("./plain")
    assert library.find("workloads", Path("plain")) == Path("plain")


@pytest.mark.parametrize("path", ["none.yaml", "folder/none", "none.json", "."])
def test_a_path_that_is_no_file_names_the_path(path: str) -> None:
    with pytest.raises(SpecError) as caught:
        library.find("workloads", Path(path))
    assert caught.value.path == path
    assert "no such network file" in str(caught.value)


def test_an_unknown_name_says_the_nearest() -> None:
    with pytest.raises(SpecError) as caught:
        library.find("workloads", "goglenet")
    assert caught.value.field == "network"
    assert "did you mean 'googlenet'?" in str(caught.value)


@pytest.mark.usefixtures("installed")
def test_a_name_like_no_other_lists_them_all() -> None:
    with pytest.raises(SpecError, match=r"no architecture named 'zzz' \(known: dcnn_opt, scnn\)"):
        library.find("arch_specs", "zzz")
    with pytest.raises(SpecError, match=r"no energy table named 'zzz'"):
        library.find("energy_tables", "zzz")
