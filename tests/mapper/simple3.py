"""The machine ``simple3``, counted on its own: nothing of the traffic engine or of the mapper is used here.

DRAM, 200 per word, 4 words a cycle; one GLB of 65,536 words, 6 per word, 32 words a cycle; 16 x 16 PEs, K along x and C
along y, with a register file of 256 words, 1 per word. All tensors are kept at every level. A word sent down is read
above and written in every PE that needs it; a sum that comes up is read below (in the register file that read stands
for the first one of its stay, which is left out) and written above, after reduction over C; sums that return travel
down again to all C copies.

A nest is a list from outer to inner of loops over time ``("K", 4)`` and storage nodes ``("GLB", "Weights")``; the array
stands above the first register file.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from math import prod

DIMS = ("K", "C", "P", "Q", "R", "S")
TENSORS = ("Weights", "Inputs", "Outputs")
OWN = {"Weights": "KCRS", "Inputs": "CPQRS", "Outputs": "KPQ"}
NODES = tuple((level, tensor) for level in ("GLB", "RF") for tensor in TENSORS)
CAPACITY = {"GLB": 65_536, "RF": 256}
SIDE = 16

Layer = dict[str, int]
Item = tuple[str, int] | tuple[str, str]
Nest = list[Item]
Tile = dict[str, int]


def words(tensor: str, tile: Tile) -> int:
    """Words of a tile: iterations of every dimension inside. The input has P + R - 1 positions."""
    if tensor == "Weights":
        return tile["K"] * tile["C"] * tile["R"] * tile["S"]
    if tensor == "Outputs":
        return tile["K"] * tile["P"] * tile["Q"]
    return tile["C"] * (tile["P"] + tile["R"] - 1) * (tile["Q"] + tile["S"] - 1)


def fresh(tensor: str, tile: Tile, inside: Tile, dim: str) -> int:
    """Words of the next tile that the last one does not have, where a loop over ``dim`` advances.

    ``inside`` are the iterations inside the loop: along every dimension it falls back by ``inside - tile``, and along
    its own it advances by one iteration of the loop.
    """
    moves = {one: tile[one] - inside[one] for one in DIMS}
    moves[dim] += inside[dim]
    if tensor != "Inputs":
        return words(tensor, tile) if any(moves[one] for one in OWN[tensor]) else 0
    stay = max(0, tile["C"] - abs(moves["C"]))
    for out, tap in ("PR", "QS"):
        stay *= max(0, tile[out] + tile[tap] - 1 - abs(moves[out] + moves[tap]))
    return words(tensor, tile) - stay


class Counts:
    """Energy, and words that cross the ports of DRAM and GLB, as the words that arrive in tiles are added up."""

    def __init__(self, layer: Layer, lanes: dict[str, int]) -> None:
        macs, sums = prod(layer.values()), words("Outputs", layer)
        self.pes = lanes["K"] * lanes["C"]
        self.compute_cycles = macs / self.pes
        self.lanes = lanes
        # A multiply-accumulate is one operation and four accesses of the register file. Nobody fetches sums at first.
        self.start = (5 * macs - (200 + 6) * sums - (6 + lanes["C"]) * sums, -sums, -2 * sums)

    def of(self, level: str, tensor: str, arriving: int) -> tuple[int, int, int]:
        """Energy, DRAM words and GLB words of words that arrive in one PE's share of a tile."""
        different = arriving * prod(self.lanes[dim] for dim in "KC" if dim in OWN[tensor])
        both_ways = 2 if tensor == "Outputs" else 1
        if level == "GLB":
            return both_ways * (200 + 6) * different, both_ways * different, both_ways * different
        # Sums are drained for nothing (see above) and written when they return; other words are only written.
        return both_ways * 6 * different + arriving * self.pes, 0, both_ways * different

    def measure(self, total: tuple[int, int, int], objective: str) -> float:
        energy, dram, glb = total
        return energy if objective == "energy" else energy * max(dram / 4, glb / 32, self.compute_cycles)


def with_lanes(level: str, tile: Tile, lanes: dict[str, int]) -> Tile:
    """The tile of all PEs in the GLB, of one in the register file."""
    return {dim: tile[dim] * (lanes.get(dim, 1) if level == "GLB" else 1) for dim in DIMS}


def cost(layer: Layer, lanes: dict[str, int], nest: Nest, objective: str) -> float | None:
    """The measure of a nest; None where it does not fit. ``lanes``: K and C over the array."""
    counts = Counts(layer, lanes)
    total = counts.start
    inside = dict.fromkeys(DIMS, 1)
    outside = prod(layer[dim] // lanes.get(dim, 1) for dim in DIMS)
    tiles: dict[tuple[str, str], Tile] = {}
    used = {"GLB": 0, "RF": 0}
    for name, what in reversed(nest):
        if isinstance(what, str):
            tiles[name, what] = dict(inside)
            used[name] += words(what, with_lanes(name, inside, lanes))
            arriving = {(name, what): words(what, inside)}
        else:
            outside //= what
            arriving = {node: outside * (what - 1) * fresh(node[1], tile, inside, name) for node, tile in tiles.items()}
            inside[name] *= what
        for node, number in arriving.items():
            total = added(total, counts.of(*node, number))
    if any(used[level] > CAPACITY[level] for level in used):
        return None
    return counts.measure(total, objective)


def added(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def walked_arrivals(layer: Layer, lanes: dict[str, int], nest: Nest, node: tuple[str, str]) -> int:
    """Words that arrive in the tiles of a node of one PE, iteration by iteration with real sets."""
    tensor, place = node[1], nest.index(node)
    step = dict.fromkeys(DIMS, 1)
    loops: list[tuple[str, int, int]] = []
    for name, bound in reversed(nest):
        if isinstance(bound, int):
            loops.insert(0, (name, bound, step[name]))
            step[name] *= bound
    above = sum(isinstance(bound, int) for _, bound in nest[:place])
    arrived, held = 0, set()
    for outer in product(*(range(bound) for _, bound, _ in loops[:above])):
        tile = set()
        for inner in product(*(range(bound) for _, bound, _ in loops[above:])):
            at = dict.fromkeys(DIMS, 0)
            for (dim, _, distance), index in zip(loops, (*outer, *inner), strict=True):
                at[dim] += distance * index
            if tensor == "Inputs":
                tile.add((at["C"], at["P"] + at["R"], at["Q"] + at["S"]))
            else:
                tile.add(tuple(at[dim] for dim in OWN[tensor]))
        arrived += len(tile - held)
        held = tile
    return arrived


#: A node and its tile (None: nothing of it stays), for all nodes that stand.
Placed = tuple[tuple[tuple[str, str], tuple[int, ...] | None], ...]
#: Iterations inside, nodes, dimensions with a loop since the last node, words of GLB and RF, totals.
State = tuple[tuple[int, ...], Placed, tuple[str, ...], int, int, tuple[int, int, int]]


# -- whole spaces -------------------------------------------------------------------------------------


def all_lanes(layer: Layer) -> Iterator[dict[str, int]]:
    for along_k, along_c in product(range(1, SIDE + 1), repeat=2):
        if layer["K"] % along_k == 0 == layer["C"] % along_c:
            yield {"K": along_k, "C": along_c}


def least(layer: Layer, objective: str, ceiling: float) -> float:
    """The least measure of all nests, none above ``ceiling`` looked at: loop by loop, node by node, from the inside.

    Two beginnings are one if they have the same iterations inside, nodes (with their tiles), loops since the last
    node, words used, energy and port words. What every node still to come brings at least, counts towards the ceiling.
    """
    best = float("inf")
    for lanes in all_lanes(layer):
        counts = Counts(layer, lanes)
        full = {dim: layer[dim] // lanes.get(dim, 1) for dim in DIMS}
        least_of = {node: counts.of(*node, words(node[1], full)) for node in NODES}
        waiting: dict[tuple[int, int], set[State]] = {(1, 0): {((1,) * 6, (), (), 0, 0, counts.start)}}
        while waiting:
            cell = min(waiting)
            for state in waiting.pop(cell):
                inside, nodes, total = dict(zip(DIMS, state[0], strict=True)), state[1], state[-1]
                if len(nodes) == len(NODES) and inside == full:
                    best = min(best, counts.measure(total, objective))
                    continue
                for after in continuations(counts, full, inside, *state[1:]):
                    bound = after[-1]
                    placed = {node for node, _ in after[1]}
                    for node in NODES:
                        if node not in placed:
                            bound = added(bound, least_of[node])
                    if counts.measure(bound, objective) <= min(ceiling, best):
                        waiting.setdefault((prod(after[0]), len(after[1])), set()).add(after)
    return best


def continuations(
    counts: Counts,
    full: Layer,
    inside: Tile,
    nodes: Placed,
    looped: tuple[str, ...],
    glb: int,
    rf: int,
    total: tuple[int, int, int],
) -> Iterator[State]:
    """A beginning with one more node on top, or one more loop around it."""
    sizes = tuple(inside.values())
    placed = {node for node, _ in nodes}
    for node in NODES:
        level, tensor = node
        if node in placed:
            continue
        # A tensor's outer node is further out; so are all of the GLB where the array is used.
        if level == "GLB" and any(one not in placed for one in NODES[3:] if counts.pes > 1 or one[1] == tensor):
            continue
        room = words(tensor, with_lanes(level, inside, counts.lanes))
        more_glb, more_rf = (glb + room, rf) if level == "GLB" else (glb, rf + room)
        if more_glb <= CAPACITY["GLB"] and more_rf <= CAPACITY["RF"]:
            after = tuple(sorted((*nodes, (node, sizes))))
            yield sizes, after, (), more_glb, more_rf, added(total, counts.of(*node, words(tensor, inside)))
    outside = prod(full.values()) // prod(sizes)
    for axis, dim in enumerate(DIMS):
        left = full[dim] // inside[dim]
        if dim in looped:
            continue
        for bound in range(2, left + 1):
            if left % bound:
                continue
            sum_of, kept = total, []
            for node, tile in nodes:
                if tile is not None:
                    held = dict(zip(DIMS, tile, strict=True))
                    whole = words(node[1], held)
                    brought = fresh(node[1], held, inside, dim)
                    if brought == whole and (node[1] != "Inputs" or dim == "C"):
                        # Nothing of the tile stays, whatever loop advances from here on.
                        sum_of = added(sum_of, counts.of(*node, (outside - 1) * whole))
                        tile = None
                    else:
                        sum_of = added(sum_of, counts.of(*node, outside // bound * (bound - 1) * brought))
                kept.append((node, tile))
            grown = tuple(size * bound if one == axis else size for one, size in enumerate(sizes))
            yield grown, tuple(kept), tuple(sorted((*looped, dim))), glb, rf, sum_of


# -- search by chance ---------------------------------------------------------------------------------


def valid(lanes: dict[str, int], nest: Nest) -> bool:
    """Whether a nest is one of the space: nodes in order, one loop per dimension between two of them."""
    nodes = [item for item in nest if isinstance(item[1], str)]
    for tensor in TENSORS:
        if nodes.index(("GLB", tensor)) > nodes.index(("RF", tensor)):
            return False
    if lanes["K"] * lanes["C"] > 1 and any(level == "RF" for level, _ in nodes[:3]):
        return False
    seen: list[str] = []
    for name, what in nest:
        if isinstance(what, str):
            seen = []
        elif name in seen and seen[-1] != name:
            return False
        else:
            seen.append(name)
    return True


def primes(number: int) -> list[int]:
    found, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return found


def sought(layer: Layer, objective: str, seed: int, steps: int) -> float:
    """The least measure that a random local search comes across; loops are by primes, and may be equal neighbours."""
    rng = random.Random(seed)
    lanes = {"K": 1, "C": 1}
    nest: Nest = [(dim, bound) for dim in DIMS for bound in primes(layer[dim])]
    nest += list(NODES)
    best = now = cost(layer, lanes, nest, objective)
    assert best is not None
    assert now is not None
    for step in range(steps):
        tried, tried_lanes = list(nest), dict(lanes)
        dim = rng.choice("KC")
        if rng.random() < 0.15:
            loops = [item for item in tried if item[0] == dim]
            taken = primes(lanes[dim])
            if loops and (not taken or rng.random() < 0.6):
                item = rng.choice(loops)
                tried.remove(item)
                tried_lanes[dim] *= int(item[1])
            elif taken:
                factor = rng.choice(taken)
                tried_lanes[dim] //= factor
                tried.insert(rng.randrange(len(tried) + 1), (dim, factor))
        else:
            for _ in range(rng.choice([1, 1, 2])):
                item = tried.pop(rng.randrange(len(tried)))
                tried.insert(rng.randrange(len(tried) + 1), item)
        if max(tried_lanes.values()) > SIDE or not valid(tried_lanes, tried):
            continue
        value = cost(layer, tried_lanes, tried, objective)
        if value is None:
            continue
        # A little worse is accepted at first, less and less.
        if value <= now * (1 + 0.3 * rng.random() * (1 - step / steps) ** 2):
            nest, lanes, now = tried, tried_lanes, value
            best = min(best, now)
    return best
