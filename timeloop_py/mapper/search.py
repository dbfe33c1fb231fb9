"""tmp driver"""
from __future__ import annotations
import numpy as np, time
from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.spread import spread_choices
from timeloop_py.mapper.paths import PathSearch, Incumbent
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.nests import mapping_of, mapping_cost

def simple(space, objective="energy", beam=0, verbose=False):
    goal = Goal(parse_objective(objective).measures[0])
    inc = Incumbent()
    best = None
    frames = []
    n=0
    for ret in space.retentions():
        sp = spread_choices(ret)
        if not len(sp): continue
        f = Frame(ret, sp)
        frames.append((float(f.bound(f.start(), goal).min()), len(frames), f))
    frames.sort(key=lambda x: x[:2])
    for lb, _, f in frames:
        if lb > inc.ceiling(): break
        ps = PathSearch(f, goal, inc, beam)
        for e in ps.run():
            m = mapping_of(f.retention, f.spread, e.choice, e.steps)
            c = mapping_cost(space, m)
            v = float(goal.bound(c.energy_pj, c.cycles))
            key = (v, c.energy_pj, c.cycles)
            if verbose: print(e.measure, key)
            if best is None or key < best[0]:
                best = (key, m, e)
                inc.measure = min(inc.measure, v)
        n+=ps.continued
    return best, n
