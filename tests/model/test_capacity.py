"""Activations on and off the chip: which layers are tiled, what goes over DRAM, and that nothing is read unwritten."""

import numpy as np
import pytest

from timeloop_py.model.capacity import (
    activation_fit,
    activation_traffic,
    dram_tiles,
    largest_fitting_density,
    traffic_alone,
    traffic_of_fits,
)
from timeloop_py.model.evaluate import Evaluation, evaluate
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network, load_network

ARCHITECTURES = ("scnn", "dcnn", "dcnn_opt")
#: SCNN paper, section VI-D: 9 of 72 layers need tiling. They are the first nine of VGG-16.
TILED_IN_SCNN = (
    *("conv1_1", "conv1_2", "conv2_1", "conv2_2"),
    *("conv3_1", "conv3_2", "conv3_3", "conv4_1", "conv4_2"),
)


def dram_bits(evaluation: Evaluation, layer: str, tensor: str) -> float:
    """Bits of a tensor that a layer moves over DRAM."""
    frame = evaluation.accesses_frame()
    rows = frame[(frame["layer"] == layer) & (frame["level"] == "dram") & (frame["tensor"] == tensor)]
    return float(rows["count"].sum())


def chain(*layers: Layer) -> Network:
    """Layers one after the other."""
    names = [layer.name for layer in layers]
    inputs = {name: (before,) if before else () for name, before in zip(names, ["", *names[:-1]], strict=True)}
    return Network("chain", layers, inputs, {}, "test", "digest")


def conv(name: str, channels: int, outputs: int, side: int, density: float = 1.0) -> Layer:
    return Layer(name, K=outputs, C=channels, W=side, H=side, activation_density=density, output_density=density)


@pytest.mark.parametrize(("network", "tiled"), [("alexnet", ()), ("googlenet", ()), ("vgg16", TILED_IN_SCNN)])
def test_the_layers_that_scnn_tiles_are_those_of_the_paper(network: str, tiled: tuple[str, ...]) -> None:
    frame = evaluate(load_architecture("scnn"), load_network(network)).to_frame()
    assert tuple(frame.loc[~frame["fits_on_chip"].astype(bool), "layer"]) == tiled


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_read_from_dram_was_written_there(name: str) -> None:
    network = load_network("vgg16")
    evaluation = evaluate(load_architecture(name), network)
    for producer, consumer in network.edges:
        written, read = dram_bits(evaluation, producer, "Outputs"), dram_bits(evaluation, consumer, "Inputs")
        assert read == pytest.approx(written, rel=1e-9)


def test_dram_traffic_of_a_dense_layer_is_its_tensors() -> None:
    layer = load_network("vgg16").layer("conv2_1")
    evaluation = evaluate(load_architecture("dcnn"), load_network("vgg16"), layer="conv2_1")
    assert dram_bits(evaluation, "conv2_1", "Inputs") == pytest.approx(16 * layer.inputs)
    assert dram_bits(evaluation, "conv2_1", "Outputs") == pytest.approx(16 * layer.stored_outputs)
    assert dram_bits(evaluation, "conv2_1", "Weights") == pytest.approx(16 * layer.weights)


def test_compressed_traffic_is_the_non_zeros_with_their_indices() -> None:
    layer = load_network("vgg16").layer("conv3_2")
    evaluation = evaluate(load_architecture("scnn"), load_network("vgg16"), layer="conv3_2")
    assert dram_bits(evaluation, "conv3_2", "Inputs") == pytest.approx(20 * layer.inputs * layer.activation_density)
    assert dram_bits(evaluation, "conv3_2", "Outputs") == pytest.approx(
        20 * layer.stored_outputs * layer.stored_density
    )


def test_a_fitting_layer_reads_what_its_tiled_producer_left_in_dram() -> None:
    # 64 PEs of 10 KB: 20-bit words of a 64 x 64 plane, so 64 words per channel and PE. Only `large` is tiled.
    network = chain(conv("first", 8, 16, 64), conv("large", 16, 96, 64), conv("next", 96, 8, 64, 0.5))
    scnn = load_architecture("scnn")
    traffic = activation_traffic(
        [scnn] * 3,
        [network] * 3,
        network.layers,
        np.array([[layer.activation_density] for layer in network.layers]),
        np.array([[layer.stored_density] for layer in network.layers]),
    )
    assert traffic.fits[:, 0].tolist() == [True, False, True]
    assert traffic.input_share[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert traffic.output_share[:, 0].tolist() == [1.0, 1.0, 0.0]


def test_only_the_part_that_a_tiled_producer_stored_comes_from_dram() -> None:
    branches = (conv("wide", 16, 96, 64), conv("narrow", 16, 32, 64))
    join = conv("join", 128, 8, 64, 0.45)
    network = Network(
        "branches", (*branches, join), {"wide": (), "narrow": (), "join": ("wide", "narrow")}, {}, "test", "digest"
    )
    scnn = load_architecture("scnn")
    densities = np.array([[1.0], [1.0], [0.45]])
    traffic = activation_traffic([scnn] * 3, [network] * 3, network.layers, densities, densities)
    assert traffic.fits[:, 0].tolist() == [False, True, True]
    assert traffic.input_share[2, 0] == pytest.approx(96 / 128)
    assert traffic.output_share[:, 0].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["conv1_1", "conv3_2"])  # one reads the network's input
def test_a_layer_on_many_architectures_sees_no_neighbour(name: str) -> None:
    network = load_network("vgg16")
    designs = [load_architecture("scnn"), load_architecture("dcnn")]
    fits = np.array([[True, False], [False, True]])
    alone = traffic_alone(fits, network, network.layer(name))
    together = traffic_of_fits(fits, designs, [network] * 2, [network.layer(name)] * 2)
    for field in ("fits", "input_share", "output_share"):
        np.testing.assert_array_equal(getattr(alone, field), getattr(together, field), err_msg=field)


def test_two_architectures_do_not_see_each_others_layers() -> None:
    network = load_network("vgg16")
    small = load_architecture("scnn", [("parameters.input_ram_bytes", 1024)], name="small")
    scnn = load_architecture("scnn")
    together = evaluate([small, scnn], network)
    assert np.array_equal(together.layer_energy_pj[len(network.layers) :], evaluate(scnn, network).layer_energy_pj)


def _brute_force_tiles(architecture: Architecture, layer: Layer) -> tuple[int, int] | None:
    densities = np.array([layer.activation_density]), np.array([layer.stored_density])
    found = [
        (x * y, abs(x - y), x, y)
        for x in range(1, layer.W + 1)
        for y in range(1, layer.H + 1)
        if activation_fit(architecture, layer, *densities, (x, y)).fits[0]
    ]
    return None if not found else (min(found)[2], min(found)[3])


@pytest.mark.parametrize("name", ["scnn", "dcnn"])
@pytest.mark.parametrize("layer", ["conv3_1", "conv4_1", "conv4_2", "conv5_1"])
def test_tiles_are_the_fewest_and_squarest(name: str, layer: str) -> None:
    architecture, chosen = load_architecture(name), load_network("vgg16").layer(layer)
    assert dram_tiles(architecture, chosen) == _brute_force_tiles(architecture, chosen)


def test_a_layer_that_fits_is_one_tile_and_one_that_never_does_is_none() -> None:
    scnn = load_architecture("scnn")
    assert dram_tiles(scnn, load_network("alexnet").layer("conv3")) == (1, 1)
    assert dram_tiles(scnn, Layer("endless", K=1, C=100_000, W=8, H=8)) is None


def test_a_tile_holds_the_placeholders_of_its_codes() -> None:
    """Every channel of a PE is a code whose runs are at most 15 zeros long."""
    scnn, layer = load_architecture("scnn"), conv("sparse", 4, 8, 64)
    density = 0.04
    fit = activation_fit(scnn, layer, np.array([density]), np.array([density]))
    codes = np.random.default_rng(0).random((40_000, 64)) < density
    entries = 0
    for code in codes:
        places = np.flatnonzero(code)
        entries += places.size + int(((np.diff(places, prepend=-1) - 1) // 16).sum())
    assert fit.input_bits[0] == pytest.approx(4 * 20 * entries / len(codes), rel=0.01)
    assert fit.output_bits[0] == pytest.approx(2 * fit.input_bits[0])
    assert fit.input_bits[0] > 1.2 * 4 * 64 * density * 20


@pytest.mark.parametrize("name", ["conv1_2", "conv3_1", "conv4_2"])
def test_the_largest_density_that_fits_fills_the_ram(name: str) -> None:
    scnn = load_architecture("scnn")
    layer = next(layer for layer in load_network("vgg16").layers if layer.name == name)
    density = largest_fitting_density(scnn, layer)
    for both, fits in ((density, True), (density + 1e-6, False)):
        assert activation_fit(scnn, layer, np.array([both]), np.array([both])).fits[0] == fits
