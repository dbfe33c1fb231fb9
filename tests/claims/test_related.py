"""Ledgers of the other systems: complete, mostly within tolerance, and right where a number can be checked by hand."""

from __future__ import annotations

import csv
from functools import cache

import pytest

from timeloop_py.claims.ledger import DATA, Finding, load_ledger
from timeloop_py.claims.related import eyeriss, related_system, scalpel
from timeloop_py.claims.systems import SYSTEMS, System, load_system
from timeloop_py.model.area import area_mm2
from timeloop_py.model.evaluate import evaluate
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.network import load_network
from timeloop_py.specs.tables import load_area_table, load_energy_table

RELATED = sorted(set(SYSTEMS) - {"scnn"})


@cache
def system(name: str) -> System:
    return load_system(name)


@cache
def findings(name: str) -> dict[str, Finding]:
    return {finding.claim.id: finding for finding in system(name).findings(["layers"])}


@pytest.mark.parametrize("name", RELATED)
def test_every_claim_is_measured(name: str) -> None:
    assert list(findings(name)) == [claim.id for claim in load_ledger(name)]
    judged = [claim for claim in load_ledger(name) if claim.tolerance is not None]
    assert len(judged) >= 3


@pytest.mark.parametrize("name", RELATED)
def test_two_thirds_are_within_a_fifth(name: str) -> None:
    """Of all rows, none of which is only reported; and of those that no setting was read off."""
    rows = list(findings(name).values())
    assert all(finding.claim.tolerance is not None and finding.claim.tolerance <= 0.2 for finding in rows)
    for counted in (rows, [finding for finding in rows if not finding.fitted]):
        passed = [finding for finding in counted if finding.verdict == "pass"]
        assert len(passed) >= 2 / 3 * len(counted)


@pytest.mark.parametrize("name", RELATED)
def test_what_misses_is_explained(name: str) -> None:
    for finding in findings(name).values():
        if finding.verdict == "miss":
            assert finding.claim.note, finding.claim.id
            assert finding.claim.note in finding.note


@pytest.mark.parametrize("name", RELATED)
def test_ledgers_say_where_a_number_stands(name: str) -> None:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert row["where"]
            assert row["unit"]


@pytest.mark.parametrize("name", RELATED)
def test_the_table_behind_the_claims_has_rows(name: str) -> None:
    tables = system(name).exhibits["layers"]().tables
    assert max(len(table) for table in tables.values()) >= 5


def test_throughput_of_dadiannao_by_hand() -> None:
    """4096 x 4096 products on 4096 multipliers at 606 MHz."""
    assert findings("dadiannao")["fc7"].measured.value == pytest.approx(606e6 / 4096)


def test_eyeriss_maps_alexnet_as_the_chip_does() -> None:
    assert findings("eyeriss")["active"].measured.value == (154, 135, 156, 156, 156)


def test_early_layers_of_vgg_wait_for_their_sums() -> None:
    """conv1_2 has one channel a pass: every sum goes out 64 times and comes back 63 times, eight words a cycle."""
    sums = 64 * 224 * 224 * 3
    at_least_ms = sums * (2 * 64 - 1) / 8 / 200e3
    measured = findings("eyeriss")["vgg-conv1_2"].measured
    assert measured.note == "limited by sum_network"
    assert measured.value == pytest.approx(at_least_ms, rel=0.001)


def test_the_mapping_of_vgg_is_said_to_be_fitted() -> None:
    fitted = {name for name, finding in findings("eyeriss").items() if finding.fitted}
    assert "vgg-buffer" in fitted
    assert "vgg-latency" not in fitted


def test_nodes_that_lenet_keeps_by_hand() -> None:
    """784-161-64-10 of 784-300-100-10."""
    kept, all_weights = 784 * 161 + 161 * 64 + 64 * 10, 784 * 300 + 300 * 100 + 100 * 10
    pruned = scalpel.prune_nodes(load_network("lenet_300_100"), scalpel.KEPT_NODES["lenet_300_100"])
    assert sum(layer.weights for layer in pruned.layers) == kept
    assert sum(layer.weights for layer in load_network("lenet_300_100").layers) == all_weights


def test_placeholders_explain_eie_s_theoretical_time() -> None:
    """A column of Alex-6 has 5.76 non-zeros a PE and 1.11 placeholders: runs of 16 zeros among 64 rows at 9%."""
    theory = findings("eie")["theory"].measured.value
    assert isinstance(theory, tuple)
    without = 9216 * 4096 * 0.09 * 0.351 / 64 / 800
    assert theory[0] / without == pytest.approx(1 + 1.11 / 5.76, rel=0.005)


def test_parts_of_eie_add_up_to_its_ram() -> None:
    """Table II counts every RAM twice: as memory, and in the module that reads it."""
    for parts in ("power-parts", "area-parts"):
        value = findings("eie")[parts].measured.value
        assert isinstance(value, tuple)
        memory, clock, register, combinational, queue, pointers, weights, arithmetic, activations = value
        assert clock == 0
        assert arithmetic == combinational
        assert memory + register == pytest.approx(queue + pointers + weights + activations)


def test_a_dense_eie_would_need_its_peak_over_the_densities() -> None:
    """102.4 GOP/s times 58.6 M products over the 2.11 M whose weight and activation are not zero."""
    dense = [9216 * 4096, 4096 * 4096, 4096 * 1000]
    useful = [0.09 * 0.351, 0.09 * 0.353, 0.25 * 0.375]
    share = sum(macs * density for macs, density in zip(dense, useful, strict=True)) / sum(dense)
    assert findings("eie")["uncompressed"].measured.value == pytest.approx(0.1024 / share)


def test_the_mapping_of_alexnet_is_the_one_that_eyeriss_prints() -> None:
    """Table III: m filters share the global buffer, whose 100 KB hold their sums and the inputs of a pass."""
    filters = {"conv1": 96, "conv2": 64, "conv3": 64, "conv4": 64, "conv5": 64}
    channels = {"conv1": 1, "conv2": 2, "conv3": 4, "conv4": 6, "conv5": 6}
    for layer, given in eyeriss.ALEXNET_MAPPING.items():
        at = dict.fromkeys(eyeriss.MAPPING_PARAMETERS, 1) | given
        assert at["filter_passes"] * at["p"] * at["t"] * at["sets_x"] == filters[layer]
        assert at["q"] * at["r"] == channels[layer]
    assert not findings("eyeriss")["buffer"].fitted


def test_the_fastest_network_of_cnvlutin_is_below_the_bound_of_its_zeros() -> None:
    fastest = findings("cnvlutin")["fastest"].measured.value
    assert isinstance(fastest, float)
    assert fastest < 1 / (1 - 0.44)


# -- one pricing rule ----------------------------------------------------------------------------------------------


def test_every_machine_with_a_process_is_priced_by_the_rule() -> None:
    """The table of its node where one ships, else literature_16nm brought there; wires as long as in the process."""
    for name, process in related_system.PROCESSES.items():
        shipped = load_architecture(name)
        priced = related_system.at_its_process(shipped)
        node = {45: "horowitz_45nm", 65: "diannao_65nm"}.get(int(process.node_nm), "literature_16nm")
        assert priced.energy_table == node
        table = load_energy_table(node)
        for part, component in shipped.components.items():
            pitch = component.attributes.get("pitch_mm")
            if pitch is not None:
                there = priced.components[part].attributes["pitch_mm"]
                assert there == pytest.approx(pitch * table.node_nm / 16)


def test_energies_are_brought_to_a_process_once() -> None:
    """DaDianNao: C V^2 from 16 nm and 0.8 V to 28 nm and 0.9 V. EIE: its table is of its node."""
    assert related_system.at_process(1.0, load_architecture("dadiannao")) == pytest.approx(28 / 16 * (0.9 / 0.8) ** 2)
    assert related_system.at_process(1.0, related_system.at_its_process(load_architecture("eie"))) == 1.0


def test_every_machine_has_the_area_table_of_its_node() -> None:
    """Where one ships, else area_tsmc16; a RAM of 128 KB by hand."""
    ram = load_architecture("eie").components["weight_memory"].attributes
    for name, process in related_system.PROCESSES.items():
        design = load_architecture(name)
        table = load_area_table({45: "area_45nm", 65: "area_65nm"}.get(int(process.node_nm), "area_tsmc16"))
        there = area_mm2(design, table) * (process.node_nm / table.node_nm) ** 2
        assert sum(related_system.areas_at_process(design).values()) == pytest.approx(there)
    found = related_system.areas_at_process(load_architecture("eie"))["weight_memory"]
    assert found == pytest.approx(64 * (0.4281 * 8 * 2**17 + 20 * ram["width_bits"]) * 1e-6, rel=1e-3)


def test_areas_without_a_table_grow_with_the_square_of_the_node() -> None:
    areas = related_system.areas_at_process(load_architecture("dadiannao"))
    assert areas["weight_memory"] == pytest.approx(16 * 2 * 0.2374 * (28 / 16) ** 2)


def test_a_projected_machine_shrinks_from_its_own_node() -> None:
    """EIE, ISCA 2016, Table V: 40.8 mm2 at 45 nm are 63.8 at 28 nm with four times the PEs, the square within 1%."""
    eie = load_architecture("eie")
    at_28 = sum(related_system.areas_at_process(eie, 28).values())
    assert at_28 == pytest.approx(sum(related_system.areas_at_process(eie).values()) * (28 / 45) ** 2)
    published = 63.8 / (4 * 40.8)
    assert published == pytest.approx((28 / 45) ** 2, rel=0.01)


def test_the_65_nm_areas_leave_room_in_the_chip_that_has_more_parts() -> None:
    """DianNao: 3.02 mm2 (its abstract), with registers, a clock network and fillers that are in no table."""
    area = sum(related_system.areas_at_process(load_architecture("diannao")).values())
    assert 0.5 * 3.02 < area < 3.02


def test_the_65_nm_table_meets_the_power_of_the_chip_that_it_is_from() -> None:
    """DianNao, every multiplier busy: 485 mW at 0.98 GHz (its abstract), of which control has no event."""

    def busy_w(priced: Architecture) -> float:
        return related_system.on_chip_power_w(priced, [evaluate(priced, load_network("lenet_300_100"), [(1.0, 1.0)])])

    shipped = load_architecture("diannao")
    assert busy_w(related_system.at_its_process(shipped)) == pytest.approx(0.485, rel=0.1)
    assert busy_w(shipped) > 3 * 0.485  # what literature_16nm gives when it is brought to 65 nm


# -- Scalpel -------------------------------------------------------------------------------------------------------


def test_grouping_wins_over_single_weights_at_every_density() -> None:
    curves = scalpel.table().set_index(["platform", "part", "pruning", "weight_density"])["speedup"]
    for platform in scalpel.PLATFORMS:
        for part in scalpel.PARTS:
            for density in scalpel.DENSITIES:
                groups, single = (curves.loc[(platform, part, one, density)] for one in ("groups", "unstructured"))
                assert groups >= single - 1e-9


def test_the_wider_the_unit_the_sparser_single_weights_have_to_be() -> None:
    """A gather is a load per weight: break-even just below 3/(3+w), w weights wide (0.6, 0.27 and 0.09).

    On the CPU the multiplier limits dense vectors at one a cycle, so that it lies at 0.36.
    """
    found = scalpel.breakeven().set_index(["platform", "part", "pruning"])["fastest_below_density"]
    singles = [found.loc[(platform, "convolution", "unstructured")] for platform in scalpel.PLATFORMS]
    assert singles == [0.5, 0.3, 0.05]
    connected = [found.loc[(platform, "fully connected", "unstructured")] for platform in ("cpu", "gpu")]
    assert connected == [0.5, 0.5]  # limited by DRAM: an index of 32 bits beside every weight of 32 bits
    groups = [found.loc[(platform, "convolution", "groups")] for platform in scalpel.PLATFORMS]
    assert min(groups) >= 0.7


def test_pruned_nodes_leave_a_dense_network() -> None:
    pruned = scalpel.prune_nodes(load_network("alexnet:all"), scalpel.KEPT_NODES["alexnet:all"])
    sizes = {layer.name: (layer.K, layer.C) for layer in pruned.layers}
    assert sizes["conv1"] == (83, 3)
    assert sizes["conv2"] == (226, 84)  # whole channels in both groups
    assert sizes["fc6"] == (3001, 253 * 36)
    assert {layer.weight_density for layer in pruned.layers} == {1.0}
