"""Networks: the shipped ones against published facts, edges, subsets, and errors with their place."""

from __future__ import annotations

import csv
import hashlib
import pickle
from pathlib import Path

import pytest

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Add, Layer
from timeloop_py.specs.library import names
from timeloop_py.specs.network import Network, load_network, shape_network

WORKLOADS = Path(__file__).parents[2] / "workloads"
with (WORKLOADS / "sources" / "densities.csv").open(encoding="utf-8") as file:
    DENSITIES = {(row["set"], row["network"], row["layer"]): row for row in csv.DictReader(file)}

MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
BRANCHES = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")


def planes(network: Network) -> list[int]:
    return [layer.W for layer in network.layers]


def total_macs(network: Network) -> int:
    return sum(layer.macs for layer in network.layers)


@pytest.mark.parametrize(
    ("name", "layers", "macs", "relative_tolerance"),
    [  # Table I of the SCNN paper; AlexNet's grouped shapes give 0.666e9 where the table says 0.69e9
        ("alexnet", 5, 0.666e9, 0.001),
        ("googlenet:inception", 54, 1.104e9, 0.001),
        ("googlenet:inception", 54, 1.1e9, 0.02),
        ("vgg16", 13, 15.3e9, 0.01),
        ("googlenet", 57, 1.582e9, 0.001),
        ("alexnet:all", 8, 0.7244e9, 0.001),
        ("vgg16:all", 16, 15.470e9, 0.001),
        # torchvision's and TensorFlow-Slim's own counts
        ("resnet18", 20, 1_813_561_344, 0),
        ("resnet18:all", 21, 1_814_073_344, 0),
        ("resnet50", 53, 4_087_136_256, 0),
        ("resnet50:all", 54, 4_089_184_256, 0),
        ("mobilenet_v1", 27, 567_716_352, 0),
        ("mobilenet_v1:all", 28, 568_740_352, 0),
        ("mobilenet_v2", 52, 299_494_272, 0),
        ("mobilenet_v2:all", 53, 300_774_272, 0),
    ],
)
def test_layers_and_macs(name: str, layers: int, macs: float, relative_tolerance: float) -> None:
    network = load_network(name)
    assert len(network.layers) == layers
    assert total_macs(network) == pytest.approx(macs, rel=relative_tolerance)


def test_weights_are_those_of_the_caffe_models() -> None:
    """Parameters without biases: the published totals less one bias per output channel."""
    for name, parameters in (("alexnet:all", 60_965_224), ("vgg16:all", 138_357_544), ("googlenet:all", 6_998_552)):
        network = load_network(name)
        assert sum(layer.weights + layer.K for layer in network.layers) == parameters


def test_weights_of_the_pruned_networks() -> None:
    """Every layer has the weights its publication counts, and the density of those left."""
    with (WORKLOADS / "sources" / "pruned_weights.csv").open(encoding="utf-8") as file:
        rows = {(row["network"], row["layer"]): row for row in csv.DictReader(file)}
    for name in ("resnet18", "resnet50", "mobilenet_v1"):
        network = load_network(f"{name}:all")
        assert {layer.name for layer in network.layers} == {layer for other, layer in rows if other == name}
        for layer in network.layers:
            row = rows[name, layer.name]
            assert layer.weights == int(row["weights"])
            assert layer.weight_density == pytest.approx(int(row["nonzero_weights"]) / layer.weights, abs=0.0005)


def test_residual_and_depthwise_networks() -> None:
    # torchvision's parameters of MobileNet-V2 without those of batch normalisation and the classifier's biases
    assert sum(layer.weights for layer in load_network("mobilenet_v2:all").layers) == 3_504_872 - 34_112 - 1000
    assert sum(layer.kind == "depthwise" for layer in load_network("mobilenet_v1").layers) == 13
    assert sum(layer.kind == "depthwise" for layer in load_network("mobilenet_v2").layers) == 17
    additions = {
        name: sum(isinstance(operation, Add) for layer in load_network(name).layers for operation in layer.followed_by)
        for name in ("resnet18", "resnet50", "mobilenet_v2")
    }
    assert additions == {"resnet18": 8, "resnet50": 16, "mobilenet_v2": 10}
    resnet = load_network("resnet50")
    assert resnet.inputs["layer2.0.downsample.0"] == resnet.inputs["layer2.0.conv1"] == ("layer1.2.conv3",)
    assert resnet.layer("layer2.0.downsample.0").output_density == 1.0
    assert resnet.layer("layer4.2.conv3").stored_plane == (1, 1)


def test_largest_weights_of_table_1() -> None:
    """16-bit weights of the largest layer: 1.73, 1.32 and 4.49 MB, megabytes of either kind."""
    for name, megabytes in (("alexnet", 1.73), ("googlenet:inception", 1.32), ("vgg16", 4.49)):
        size = 2 * max(layer.weights for layer in load_network(name).layers)
        assert min(abs(size / unit / megabytes - 1) for unit in (1e6, 2**20)) < 0.05


def test_alexnet_planes() -> None:
    network = load_network("alexnet:all")
    assert planes(network) == [227, 27, 13, 13, 13, 1, 1, 1]
    assert [layer.P for layer in network.layers[:5]] == [55, 27, 13, 13, 13]
    assert [layer.stored_plane[1] for layer in network.layers[:5]] == [27, 13, 13, 13, 6]
    assert network.layer("fc6").C == 256 * 6 * 6


def test_vgg16_planes() -> None:
    network = load_network("vgg16:all")
    assert planes(network) == [224] * 2 + [112] * 2 + [56] * 3 + [28] * 3 + [14] * 3 + [1] * 3
    assert network.layer("conv5_3").stored_plane == (7, 7)


def test_googlenet_planes_use_caffes_ceil_mode() -> None:
    network = load_network("googlenet")
    assert planes(network) == [224, 56, 56] + [28] * 12 + [14] * 30 + [7] * 12
    assert network.layer("conv1/7x7_s2").P == 112
    assert network.layer("conv1/7x7_s2").stored_plane == (56, 56)
    assert network.layer("inception_3b/3x3").stored_plane == (14, 14)
    assert network.layer("inception_4e/pool_proj").stored_plane == (7, 7)
    assert network.layer("inception_5b/1x1").stored_plane == (1, 1)
    assert [layer.name for layer in network.layers[3:]] == [
        f"inception_{module}/{branch}" for module in MODULES for branch in BRANCHES
    ]


def test_googlenet_modules_join_their_branches() -> None:
    """Output channels of a module, as in Table 1 of Szegedy et al., CVPR 2015."""
    network = load_network("googlenet:all")
    readers = [f"inception_{module}/1x1" for module in MODULES[1:]] + ["loss3/classifier"]
    joined = [sum(network.layer(name).K for name in network.inputs[reader]) for reader in readers]
    assert joined == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert network.inputs["inception_3b/pool_proj"] == network.inputs["inception_3b/1x1"]
    assert network.inputs["inception_3b/5x5"] == ("inception_3b/5x5_reduce",)


@pytest.mark.parametrize("name", names("workloads"))
def test_every_shipped_network(name: str) -> None:
    """It loads (edges fit), keeps its name, and says of every density where it comes from."""
    network = load_network(f"{name}:all")
    assert network.name == f"{name}:all"
    assert network.source
    assert network.digest == hashlib.sha256((WORKLOADS / f"{name}.yaml").read_bytes()).hexdigest()
    for layer in network.layers:
        notes = (layer.weight_density_note, layer.activation_density_note, layer.output_density_note)
        assert all(note is not None and note.text for note in notes), layer.name
        assert layer.output_density is not None
    assert pickle.loads(pickle.dumps(network)) == network
    assert any(network.reads_network_input(layer.name) for layer in network.layers)


@pytest.mark.parametrize(("name", "table_name"), [("alexnet", "AlexNet"), ("vgg16", "VGG-16")])
def test_densities_of_han2015(name: str, table_name: str) -> None:
    renamed = {"fc6": "fc1", "fc7": "fc2", "fc8": "fc3"} if name == "alexnet" else {}
    network = load_network(f"{name}:all")
    rows = {key[2] for key in DENSITIES if key[:2] == ("han2015", table_name)}
    assert {renamed.get(layer.name, layer.name) for layer in network.layers} == rows
    for layer in network.layers:
        row = DENSITIES["han2015", table_name, renamed.get(layer.name, layer.name)]
        assert layer.weight_density == float(row["weight_density"])
        assert layer.activation_density == float(row["input_act_density"])
        assert layer.output_density == float(row["output_act_density"])
        assert layer.weight_density_note is not None
        assert not layer.weight_density_note.estimate


def test_densities_of_googlenet() -> None:
    """The first and last module from the set `kaist`, between them linear per branch and marked as estimates."""
    network = load_network("googlenet")
    for branch in BRANCHES:
        first, last = (DENSITIES["kaist", "GoogLeNet", f"inception_{module}/{branch}"] for module in ("3a", "5b"))
        for index, module in enumerate(MODULES):
            layer = network.layer(f"inception_{module}/{branch}")
            for density, column in (
                (layer.weight_density, "weight_density"),
                (layer.activation_density, "input_act_density"),
            ):
                start, end = float(first[column]), float(last[column])
                assert density == pytest.approx(start + (end - start) * index / 8, abs=0.000501)
            assert layer.weight_density_note is not None
            assert layer.weight_density_note.estimate == (module not in ("3a", "5b"))
            if module in ("3a", "5b"):
                row = first if module == "3a" else last
                assert layer.weight_density == float(row["weight_density"])
                assert layer.activation_density == float(row["input_act_density"])


def test_output_densities_follow_from_the_readers() -> None:
    network = load_network("googlenet:all")
    # Three readers without and one with a pooling of its own in front: the stored tensor is what the three see.
    assert network.layer("inception_3a/5x5").output_density == network.layer("inception_3b/1x1").activation_density
    assert network.layer("conv2/3x3_reduce").output_density == network.layer("conv2/3x3").activation_density
    assert network.layer("conv2/3x3").output_density == 0.71
    # The subset of the inception modules still knows what reads the last of them.
    inception = load_network("googlenet:inception")
    assert inception.layer("inception_5b/1x1").output_density == 1.0
    assert inception.layer("inception_5b/1x1") == network.layer("inception_5b/1x1")


def test_edges_are_those_between_the_layers_here() -> None:
    network = load_network("alexnet")
    assert network.edges == (("conv1", "conv2"), ("conv2", "conv3"), ("conv3", "conv4"), ("conv4", "conv5"))
    assert network.reads_network_input("conv1")
    assert not network.reads_network_input("conv2")
    inception = load_network("googlenet:inception")
    assert not inception.reads_network_input("inception_3a/1x1")
    assert ("conv2/3x3", "inception_3a/1x1") not in inception.edges
    assert len(inception.edges) == 9 * 2 + 8 * 4 * 4


def test_layers_by_name() -> None:
    network = load_network("googlenet")
    assert network.layer("inception_4a/3x3").K == 208
    assert network.layer("7x7_s2").name == "conv1/7x7_s2"
    with pytest.raises(SpecError, match="ambiguous in googlenet"):
        network.layer("pool_proj")
    with pytest.raises(SpecError, match="did you mean 'inception_4a/3x3_reduce'") as caught:
        network.layer("inception_4a/3x3_reduc")
    assert caught.value.field == "layer"


def test_a_sweep_sets_every_density() -> None:
    swept = load_network("googlenet").with_densities(weight=0.2, activation=0.3)
    assert {layer.weight_density for layer in swept.layers} == {0.2}
    assert {layer.activation_density for layer in swept.layers} == {0.3}
    assert {layer.output_density for layer in swept.layers} == {0.3}
    assert swept.name == "googlenet"


def test_a_network_of_one_shape() -> None:
    text = "K=8,C=4,P=5,Q=5,R=3,S=3,activation_density=0.5"
    network = shape_network(text)
    assert [layer.macs for layer in network.layers] == [8 * 4 * 25 * 9]
    assert network.layer("K8_C4_P5_Q5_R3_S3_activation_density0.5").stored_density == 0.5
    assert network.reads_network_input(network.layers[0].name)
    assert network.digest == hashlib.sha256(text.encode()).hexdigest()
    assert network.path is None


RESIDUAL = """\
name: residual
density_source: guess
density_sources:
  guess: {estimate: true, text: made up for this test}
subsets:
  tail: ["b*"]
layers:
  - {name: stem, K: 8, C: 3, W: 16, H: 16, R: 3, S: 3, padding: 1, followed_by: [{pool: max, window: 2, stride: 2}]}
  - {name: a1, K: 4, C: 8, W: 8, H: 8, R: 1, S: 1, activation_density: 0.6, followed_by: [relu]}
  - {name: a2, K: 8, C: 4, W: 8, H: 8, R: 3, S: 3, padding: 1, activation_density: 0.5, followed_by: [{add: stem}]}
  - {name: b1, K: 2, C: 8, W: 8, H: 8, R: 1, S: 1, activation_density: 0.4, followed_by: [relu, concat]}
  - {name: b2, inputs: a2, K: 6, C: 8, W: 8, H: 8, R: 1, S: 1, activation_density: 0.4, followed_by: [relu, concat]}
  - {name: head, inputs: [b1, b2], K: 10, C: 512, activation_density: 0.3}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "net.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    network = load_network(write(tmp_path, RESIDUAL))
    assert network.inputs == {
        "stem": (),
        "a1": ("stem",),
        "a2": ("a1",),
        "b1": ("a2",),
        "b2": ("a2",),
        "head": ("b1", "b2"),
    }
    assert [layer.output_density for layer in network.layers] == [0.6, 0.5, 0.4, 0.3, 0.3, 0.3]
    assert network.path == tmp_path / "net.yaml"
    tail = load_network(f"{tmp_path}/net.yaml:tail")
    assert tail.name == "residual:tail"
    assert [layer.name for layer in tail.layers] == ["b1", "b2"]
    assert tail.layer("b2").output_density == 0.3


def test_readers_in_any_order_and_two_images(tmp_path: Path) -> None:
    text = "name: net\nlayers:\n- {name: late, inputs: early, K: 1, C: 2}\n- {name: early, inputs: [], K: 2, C: 3}\n"
    network = load_network(write(tmp_path, text))
    assert network.edges == (("early", "late"),)
    assert network.layers[0] == Layer("late", K=1, C=2, output_density=1.0)


BAD_NETWORKS = [
    # what to replace, by what; the line and field of the error; a part of its message
    ("name: residual\n", "", 1, "name", "missing"),
    ("name: residual", "nam: residual", 1, "name", "did you mean 'nam'"),
    ("name: residual", "name: residual\nversion: 1", 2, "version", "unknown key 'version'"),
    ("density_source: guess", "density_source: gess", 2, "density_source", "did you mean 'guess'"),
    ("text: made up", "txt: made up", 4, "density_sources.guess.text", "did you mean 'txt'"),
    ("estimate: true", "estimate: perhaps", 4, "density_sources.guess.estimate", "true or false"),
    ("estimate: true, ", "estimates: true, ", 4, "density_sources.guess.estimates", "did you mean 'estimate'"),
    ('["b*"]', '["c*"]', 6, "subsets.tail[0]", "no layer matches 'c*'"),
    ('["b*"]', "b*", 6, "subsets.tail", "expected a list"),
    ("tail:", "all:", 6, "subsets.all", "cannot be defined"),
    ("name: a1", "name: stem", 9, "layers[1].name", "a second layer named 'stem'"),
    ("name: a1, ", "", 9, "layers[1].name", "missing"),
    ("K: 4,", "K: 0,", 9, "layers[1].K", "at least 1"),
    ("activation_density: 0.6", "activation_density: 6", 9, "layers[1].activation_density", "at most 1"),
    ("activation_density: 0.6", "activation: 0.6", 9, "layers[1].activation", "did you mean 'activation_density'"),
    ("K: 4, C: 8,", "K: 4, C: 9,", 9, "layers[1].C", "expected 8, as its input stem gives, found 9"),
    (
        "C: 8, W: 8, H: 8, R: 1, S: 1, activation_density: 0.6",
        "C: 8, W: 16, H: 8, R: 1, S: 1",
        9,
        "layers[1].W",
        "expected 8",
    ),
    (
        "C: 8, W: 8, H: 8, R: 1, S: 1, activation_density: 0.6",
        "C: 8, W: 8, H: 7, R: 1, S: 1",
        9,
        "layers[1].H",
        "expected 8",
    ),
    ("K: 4, C: 8,", "K: 4, N: 2, C: 8,", 9, "layers[1].N", "expected the batch of its input stem, 1, found 2"),
    ("{add: stem}", "{add: stam}", 10, "layers[2].followed_by", "did you mean 'stem'"),
    ("{add: stem}", "{add: a1}", 10, "layers[2].followed_by", "adds 'a1' of N = 1, K = 4, plane 8x8 to N = 1, K = 8"),
    ("{add: stem}", "{pool: max, window: 2}, {add: stem}", 10, "layers[2].followed_by", "to N = 1, K = 8, plane 7x7"),
    ("{add: stem}", "{add: b1}", 10, "layers[2].followed_by", "the layers form a cycle: a2 -> b1 -> a2"),
    ("name: b1,", "name: b1, inputs: head,", 11, "layers[3].inputs", "the layers form a cycle: b1 -> head -> b1"),
    ("name: b1,", "name: b1, inputs: b1,", 11, "layers[3].inputs", "the layers form a cycle: b1 -> b1"),
    ("inputs: a2", "inputs: a3", 12, "layers[4].inputs", "no layer 'a3'"),
    ("inputs: [b1, b2]", "inputs: [b1, b3]", 13, "layers[5].inputs[1]", "no layer 'b3'"),
    ("inputs: [b1, b2]", "inputs: [b1, 2]", 13, "layers[5].inputs[1]", "expected text"),
    ("inputs: [b1, b2]", "inputs: [b1, stem, a1, head]", 13, "layers[5].inputs", "cycle"),
    ("C: 512", "C: 511", 13, "layers[5].C", "expected 512, as its input b1 + b2 gives, found 511"),
    (
        "inputs: a2, K: 6, C: 8, W: 8, H: 8, R: 1",
        "inputs: a2, K: 6, C: 8, W: 8, H: 8, R: 2",
        13,
        "layers[5].inputs",
        "8x8",
    ),
    ("name: head,", "name: head, preceded_by: [{pool: max, window: 9}],", 13, "layers[5].preceded_by", "window 9x9"),
    ("name: head, inputs", "name: head, inputs: [b1], inputs", 13, "layers[5].inputs", "twice"),
]


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), BAD_NETWORKS)
def test_a_wrong_network_is_an_error_with_its_place(
    tmp_path: Path, old: str, new: str, line: int, field: str, message: str
) -> None:
    assert RESIDUAL.count(old) == 1
    path = write(tmp_path, RESIDUAL.replace(old, new))
    with pytest.raises(SpecError) as caught:
        load_network(path)
    error = caught.value
    assert error.path == str(path)
    assert (error.line, error.field) == (line, field)
    assert message in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("name: [", "broken YAML"),
        ("- 1", "expected a section"),
        ("name: x\nlayers: []", "at least one layer"),
        ("name: x\nlayers: 3", "expected a list"),
        ("name: x\nlayers: [3]", "expected a section"),
        ("name: x", "missing"),
    ],
)
def test_a_file_that_is_no_network(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SpecError, match=message) as caught:
        load_network(path)
    assert caught.value.path == str(path)


def test_unknown_names_and_subsets() -> None:
    with pytest.raises(SpecError, match="did you mean 'alexnet'"):
        load_network("alexnt")
    with pytest.raises(SpecError, match="did you mean 'inception'") as caught:
        load_network("googlenet:inceptoin")
    assert (caught.value.path, caught.value.field) == (str(WORKLOADS / "googlenet.yaml"), "subsets")
