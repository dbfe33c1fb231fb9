"""Bad input, whole commands: exit code 2, one message with the place, no traceback, nothing written."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.command import case_path, files_below, run_process
from timeloop_py.cli.main import main
from timeloop_py.specs.library import folder

NETWORK = "name: net\nlayers:\n  - {name: conv1, K: 8, C: 4, W: 8, H: 8, R: 3, S: 3}\n"
SCNN = (folder("arch_specs") / "scnn.yaml").read_text()
ENERGIES = (folder("energy_tables") / "literature_16nm.yaml").read_text()
CASE = Path(case_path("d13")).read_text()
LAYER = ("--shape", "K=8,C=4,P=8,Q=8,R=3,S=3")
EVALUATE = ("evaluate", *LAYER)
OWN = ("evaluate", "--network", "net.yaml")
ARCH = ("evaluate", *LAYER, "--arch", "./arch.yaml")


@dataclass(frozen=True)
class Bad:
    """A command with its files, and what its message must hold."""

    arguments: tuple[str, ...]
    says: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
    return text.replace(old, new)


def network(old: str, new: str) -> dict[str, str | bytes]:
    return {"net.yaml": changed(NETWORK, old, new)}


def scnn(old: str, new: str) -> dict[str, str | bytes]:
    return {"arch.yaml": changed(SCNN, old, new)}


def case(old: str, new: str) -> dict[str, str | bytes]:
    return {"case.json": changed(CASE, old, new)}


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 20)
)

BAD = {
    # names
    "unknown network": Bad(("evaluate", "--network", "googlenett"), ("did you mean 'googlenet'?",)),
    "unknown subset": Bad(("evaluate", "--network", "googlenet:incepton"), ("googlenet.yaml", "'inception'")),
    "unknown layer": Bad(
        ("evaluate", "--network", "googlenet", "--layer", "inception_3a/3x4"), ("'inception_3a/3x3'", "layer")
    ),
    "ambiguous layer": Bad(("evaluate", "--network", "googlenet", "--layer", "3x3"), ("ambiguous", "inception_3a/3x3")),
    "unknown architecture": Bad((*EVALUATE, "--arch", "scn"), ("did you mean 'scnn'?",)),
    "unknown dataflow": Bad((*EVALUATE, "--dataflow", "pt_is_cp_sprase"), ("--dataflow", "'pt_is_cp_sparse'")),
    "unknown energy table": Bad(
        (*EVALUATE, "--set", "scnn.energy_table=literature_16mn"), ("did you mean 'literature_16nm'?",)
    ),
    "unknown command": Bad(("evalute",), ("did you mean 'evaluate'?",)),
    "unknown subcommand": Bad(("show", "networks"), ("did you mean 'network'?",)),
    "unknown option": Bad((*EVALUATE, "--frmat", "csv"), ("--format",)),
    "unknown format": Bad((*EVALUATE, "--format", "xml"), ("'xml'", "json")),
    "unknown tensor": Bad(
        ("show", "formula", "scnn", "--tensor", "Input", "--level", "accumulator"), ("--tensor", "'Inputs'")
    ),
    "unknown term": Bad(("show", "formula", "scnn", "--term", "barier"), ("--term", "'barrier'")),
    "a tensor where it is not kept": Bad(
        ("show", "formula", "scnn", "--tensor", "Weights", "--level", "accumulator"), ("weight_buffer",)
    ),
    "nothing to validate": Bad(("validate",), ("Missing argument",)),
    "one design twice": Bad((*EVALUATE, "--arch", "scnn", "--arch", "scnn"), ("two architectures", "'scnn'")),
    "one network twice": Bad(("evaluate", "--network", "vgg16", "--network", "vgg16"), ("two networks", "'vgg16'")),
    # shapes
    "no layer at all": Bad(("evaluate",), ("--network", "shape")),
    "a shape and a network": Bad((*EVALUATE, "--network", "alexnet"), ("--shape",)),
    "a size of zero": Bad(("evaluate", "--shape", "K=4,C=0"), ("--shape: C", "at least 1")),
    "a negative size": Bad(("evaluate", "--shape", "K=-4"), ("--shape: K", "at least 1")),
    "half a channel": Bad(("evaluate", "--shape", "K=4,C=2.5"), ("--shape: C", "whole number")),
    "a size beyond all bounds": Bad(("evaluate", "--shape", "K=4000000000"), ("--shape: K", "at most")),
    "an unknown dimension": Bad(("evaluate", "--shape", "K=4,paddin=1"), ("--shape", "did you mean 'pad'?")),
    "a dimension twice": Bad(("evaluate", "--shape", "K=4,K=4"), ("--shape: K", "twice")),
    "no number": Bad(("evaluate", "--shape", "K"), ("--shape: K", "KEY=NUMBER")),
    "groups that do not divide": Bad(("evaluate", "--shape", "K=6,C=5,groups=2"), ("--shape: C", "groups = 2")),
    "a filter larger than the plane": Bad(("evaluate", "--shape", "K=4,R=3,S=3"), ("--shape: R", "padded plane")),
    "planes that disagree": Bad(("evaluate", "--shape", "K=4,W=8,P=9"), ("--shape: P", "not 9")),
    # densities
    "density zero": Bad((*EVALUATE, "--density", "0"), ("--density", "above 0")),
    "density above one": Bad((*EVALUATE, "--weight-density", "1.5"), ("--weight-density", "at most 1")),
    "a negative density": Bad((*EVALUATE, "--density=-0.5"), ("--density", "above 0")),
    "a density that is none": Bad((*EVALUATE, "--density", "half"), ("--density", "0.1:1.0:0.1")),
    "a density in percent": Bad((*EVALUATE, "--density", "50%"), ("--density", "'50%'")),
    "a density that is not a number": Bad((*EVALUATE, "--density", "nan"), ("--density", "'nan'")),
    "a falling range": Bad((*EVALUATE, "--density", "0.9:0.1:0.1"), ("--density", "rising")),
    "a range without a step": Bad((*EVALUATE, "--density", "0.1:0.9"), ("--density", "0.1:1.0:0.1")),
    "a step of zero": Bad((*EVALUATE, "--density", "0.1:0.9:0"), ("--density", "positive step")),
    "a million densities": Bad((*EVALUATE, "--density", "0.1:0.9:0.0000001"), ("--density", "100,000")),
    "lists that do not pair": Bad(
        (*EVALUATE, "--weight-density", "0.1,0.2", "--activation-density", "0.1,0.2,0.3"), ("do not pair", "2", "3")
    ),
    "both densities twice over": Bad((*EVALUATE, "--density", "0.5", "--weight-density", "0.5"), ("--density",)),
    "own densities and others": Bad(("explore", "--own-density", "--density", "0.5"), ("--own-density",)),
    # settings
    "an unknown field": Bad((*EVALUATE, "--set", "scnn.dataflow.barier=none"), ("did you mean 'barrier'?", "--set")),
    "an unknown section": Bad((*EVALUATE, "--set", "scnn.dataflw.barrier=none"), ("did you mean 'dataflow'?", "--set")),
    "an unknown choice": Bad(
        (*EVALUATE, "--set", "scnn.dataflow.barrier=sometimes"), ("'sometimes'", "per_channel", "dataflow.barrier")
    ),
    "text for a number": Bad((*EVALUATE, "--set", "scnn.parameters.F=four"), ("--set parameters.F", "whole number")),
    "a fraction for a whole number": Bad((*EVALUATE, "--set", "scnn.parameters.F=2.5"), ("parameters.F", "2.5")),
    "none of a size": Bad((*EVALUATE, "--set", "scnn.parameters.pe_x=0"), ("parameters.pe_x", "at least 1")),
    "a unit in a setting": Bad((*EVALUATE, "--set", "clock_ghz=1GHz"), ("clock_ghz", "without a unit")),
    "a setting without a value": Bad((*EVALUATE, "--set", "scnn.parameters.F"), ("--set", "PATH=VALUE")),
    "a setting of another design": Bad((*EVALUATE, "--set", "dcnn.parameters.F=4"), ("--set", "'dcnn'")),
    "an unknown option of a case": Bad(
        ("evaluate", "case.json", "--set", "convetion=physical"), ("did you mean 'convention'?",), {"case.json": CASE}
    ),
    "an unknown level of a case": Bad(
        ("evaluate", "case.json", "--set", "architecture.GBL.capacity_words=4"), ("'GLB'",), {"case.json": CASE}
    ),
    # networks
    "a misspelt key": Bad(OWN, ("net.yaml:3", "layers[0].padd", "'padding'"), network("S: 3", "S: 3, padd: 1")),
    "a missing key": Bad(OWN, ("net.yaml:3", "layers[0].C", "missing"), network("C: 4, ", "")),
    "a unit where a number belongs": Bad(OWN, ("net.yaml:3", "layers[0].W", "unit"), network("W: 8", "W: 8px")),
    "text where a number belongs": Bad(OWN, ("net.yaml:3", "layers[0].K"), network("K: 8", "K: eight")),
    "a density outside": Bad(
        OWN, ("net.yaml:3", "weight_density", "at most 1"), network("S: 3", "S: 3, weight_density: 1.2")
    ),
    "a list where a section belongs": Bad(
        OWN, ("net.yaml:3", "layers[0]"), {"net.yaml": "name: n\nlayers:\n  - [1]\n"}
    ),
    "a layer that reads itself": Bad(OWN, ("net.yaml:3", "cycle"), network("S: 3", "S: 3, inputs: conv1")),
    "an edge that does not fit": Bad(
        OWN, ("net.yaml:4", "layers[1].C", "expected 288"), {"net.yaml": f"{NETWORK}  - {{name: b, K: 1, C: 9}}\n"}
    ),
    "a name twice": Bad(
        OWN, ("net.yaml:4", "second layer"), {"net.yaml": f"{NETWORK}  - {{name: conv1, K: 1, C: 8, inputs: []}}\n"}
    ),
    # architectures and tables
    "a component left out": Bad(ARCH, ("arch.yaml", "crossbar"), scnn("  crossbar: {", "  crosbar: {")),
    "a component without an attribute": Bad(
        ARCH,
        ("arch.yaml:4", "components.multiplier.width_bits"),
        scnn("class: multiplier, width_bits: word_bits", "class: multiplier"),
    ),
    "an unknown parameter": Bad(
        ARCH, ("arch.yaml", "parameters.pe_z", "unknown key"), scnn("  pe_x: 8", "  pe_z: 8\n  pe_x: 8")
    ),
    "neither dataflow nor levels": Bad(ARCH, ("arch.yaml:1", "hierarchy"), {"arch.yaml": "name: mine\n"}),
    "a base that is not there": Bad(ARCH, ("arch.yaml:1", "'scnn'"), {"arch.yaml": "extends: scn\n"}),
    "an energy that is missing": Bad(
        (*EVALUATE, "--set", "scnn.energy_table=./mine.yaml"),
        ("mine.yaml", "'crossbar.transfer'", "value_pj"),
        {"mine.yaml": re.sub(r"  crossbar\.transfer:\n(    .*\n)+", "", ENERGIES)},
    ),
    "an energy outside its range": Bad(
        (*EVALUATE, "--set", "scnn.energy_table=./mine.yaml"),
        ("mine.yaml", "dram.read", "range_pj"),
        {"mine.yaml": re.sub(r"(  dram\.read:\n    value_pj: )\S+", r"\g<1>1000", ENERGIES)},
    ),
    # cases
    "loops that leave work out": Bad(
        ("evaluate", "case.json"), ("case.json", "left out"), case('["K", 8]', '["K", 4]')
    ),
    "an array too small": Bad(("evaluate", "case.json"), ("case.json", "columns"), case('["N", 4]', '["N", 8]')),
    "an energy that a case lacks": Bad(
        ("evaluate", "case.json"), ("no energy", "compute"), case('{"compute": 1.0}', "{}")
    ),
    "a mapping of another problem": Bad(
        ("evaluate", "case.json", "--mapping", "mapping.yaml"),
        ("mapping.yaml:1", "'P'"),
        {"case.json": CASE, "mapping.yaml": "- {loop: [P, 4]}\n"},
    ),
    "a case and a network": Bad(("evaluate", "case.json", "--network", "vgg16"), ("--network",), {"case.json": CASE}),
    "a network for a case": Bad(("evaluate", "net.yaml"), ("net.yaml", "expected a case"), {"net.yaml": NETWORK}),
    "a mapping without a case": Bad((*EVALUATE, "--mapping", "mapping.yaml"), ("--mapping",), {"mapping.yaml": "[]"}),
    # files
    "no such file": Bad(("evaluate", "--network", "./none.yaml"), ("none.yaml", "no such network file")),
    "no such case": Bad(("evaluate", "none.json"), ("none.json", "not found")),
    "a folder for a file": Bad(("evaluate", "--network", "./"), ("folder",)),
    "a folder for a case": Bad(("evaluate", "net.yaml"), ("net.yaml", "folder"), {"net.yaml/x": ""}),
    "an empty file": Bad(OWN, ("net.yaml:1", "empty"), {"net.yaml": ""}),
    "only comments": Bad(OWN, ("net.yaml:1", "empty"), {"net.yaml": "# to come\n"}),
    "a binary file": Bad(OWN, ("net.yaml", "UTF-8"), {"net.yaml": b"\x89PNG\r\n\x1a\n\x00\xff\xfe"}),
    "control characters": Bad(OWN, ("net.yaml", "broken YAML"), {"net.yaml": b"name: \x00\x01\x02\n"}),
    "another encoding": Bad(OWN, ("net.yaml", "UTF-8"), {"net.yaml": NETWORK.encode("utf-16")}),
    "broken YAML": Bad(OWN, ("net.yaml:4", "broken YAML"), network("S: 3}", "S: 3")),
    "broken JSON": Bad(("evaluate", "case.json"), ("case.json:", "broken JSON"), {"case.json": CASE[:-5]}),
    "a key twice": Bad(OWN, ("net.yaml:3", "layers[0].K", "twice"), network("K: 8", "K: 8, K: 9")),
    "two documents": Bad(OWN, ("net.yaml", "broken YAML"), {"net.yaml": f"{NETWORK}---\n{NETWORK}"}),
    "a bomb of aliases": Bad(OWN, ("net.yaml:6", "aliases"), {"net.yaml": BOMB}),
    "an alias of itself": Bad(OWN, ("net.yaml:2", "contains itself"), {"net.yaml": "name: x\nlayers: &a [*a]\n"}),
    "nesting without end": Bad(OWN, ("net.yaml:1", "nested"), {"net.yaml": "[" * 100_000}),
    "a number without end": Bad(OWN, ("net.yaml:3", "layers[0].K"), network("K: 8", "K: " + "9" * 5000)),
    "half a character": Bad(
        ("evaluate", "case.json"), ("case.json:", "broken JSON"), case('"GLB", "kind"', '"\\ud83d", "kind"')
    ),
    # output
    "a file in place of the folder": Bad(
        ("explore", *LAYER, "-o", "net.yaml"), ("net.yaml", "choose another folder"), {"net.yaml": NETWORK}
    ),
    "a file above the folder": Bad(
        ("explore", *LAYER, "-o", "net.yaml/results"),
        ("net.yaml/results", "choose another folder"),
        {"net.yaml": NETWORK},
    ),
    "a scheduler that is none": Bad(("explore", *LAYER, "--scheduler", "nowhere"), ("--scheduler",)),
    "a sweep that cannot be evaluated": Bad(
        (
            "explore",
            *LAYER,
            "--set",
            "scnn.parameters.accumulator_entries=1",
            "--set",
            "scnn.parameters.accumulator_banks=1",
        ),
        ("accumulator",),
    ),
    "several densities to show": Bad(("show", "nest", "scnn", *LAYER, "--density", "0.1,0.2"), ("--density", "one")),
    "several designs to show": Bad(("show", "arch", "scnn", "--set", "parameters.F=2,4"), ("--set", "one value")),
    "a network without its layer": Bad(("show", "nest", "scnn", "vgg16"), ("--layer", "conv1_1")),
    "half a place": Bad(("show", "formula", "scnn", "--tensor", "Inputs"), ("--level",)),
}


def written(files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def message_of(stderr: str) -> str:
    """The one message on standard error; notes and the label of the progress bar may stand before it."""
    errors = [line for line in stderr.splitlines() if line.startswith(("timeloop-py: error: ", "Error: "))]
    assert len(errors) == 1, stderr
    return stderr[stderr.index(errors[0]) :]


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    bad = BAD[name]
    written(bad.files)
    before = files_below(Path())
    result = CliRunner().invoke(main, list(bad.arguments), catch_exceptions=False)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    message = message_of(result.stderr)
    for part in bad.says:
        assert part in message
    assert len(message) < 1500
    assert files_below(Path()) == before


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that nobody can read")
def test_an_unreadable_file() -> None:
    """Not even root reads this file from its beginning."""
    result = CliRunner().invoke(main, ["evaluate", "--network", "/proc/self/mem"], catch_exceptions=False)
    assert result.exit_code == 2
    assert "/proc/self/mem: cannot be read" in message_of(result.stderr)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_files_and_folders_without_permission(tmp_path: Path) -> None:
    path, locked = tmp_path / "net.yaml", tmp_path / "locked"
    path.write_text(NETWORK)
    path.chmod(0)
    locked.mkdir(mode=0o500)
    unreadable = CliRunner().invoke(main, ["evaluate", "--network", str(path)], catch_exceptions=False)
    assert unreadable.exit_code == 2
    assert "cannot be read" in message_of(unreadable.stderr)
    unwritable = CliRunner().invoke(main, ["explore", *LAYER, "-o", str(locked / "results")], catch_exceptions=False)
    assert unwritable.exit_code == 2
    assert "choose another folder" in message_of(unwritable.stderr)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without an end")
def test_a_file_without_an_end() -> None:
    result = CliRunner().invoke(main, ["evaluate", "--network", "/dev/zero"], catch_exceptions=False)
    assert result.exit_code == 2
    assert "larger than" in message_of(result.stderr)


@pytest.mark.parametrize("name", ["nesting without end", "a bomb of aliases", "unknown command", "density zero"])
def test_bad_input_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    bad = BAD[name]
    written(bad.files)
    process = run_process(*bad.arguments, cwd=Path())
    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    for part in bad.says:
        assert part in message_of(process.stderr)
