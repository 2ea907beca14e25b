"""A comparison in small: complete, resumable, refused when its networks have learnt nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_ka.simulator import Prior
from tests.training.drawn_cells import group_of
from training.compare import TABLES, run
from training.comparison.cells import digest
from training.comparison.methods import (
    BACKBONE,
    CONTROLS,
    CURVE,
    DIST_WHOLE,
    FRONT,
    L1_NETWORK,
    QUANTILE_MAP,
    SHIPPED,
    TIER_1,
    TIER_2,
    TIER_3,
    WITHOUT_DIST,
    Stage,
    references,
)
from training.comparison.plan import CompareConfig
from training.comparison.plots import BLENDS, free_curve, point


def figures(small: CompareConfig) -> dict[str, Any]:
    """What the run found, but for the time that it took."""
    groups: dict[str, Any] = json.loads((small.out / "comparison" / "results.json").read_text())["groups"]
    for group in groups.values():
        for by_seed in group["measures"].values():
            for found in by_seed:
                del found["seconds_per_step"]
    return groups


def test_every_method_and_every_control_is_in_its_tables(small: CompareConfig, written: str) -> None:
    for table in TABLES:
        assert set(CONTROLS) <= set(table.methods)
        section = written[written.index(f"## {table.title}") :].split("\n## ")[0]
        for method in table.methods:
            assert section.count(f"| {method.title} |") == 4
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", written):
        assert 1_000 < (small.out / picture).stat().st_size < 150_000
    assert len({m.name for m in (*TIER_1, *TIER_2, *TIER_3)}) == len({*TIER_1, *TIER_2, *TIER_3})
    assert len(CURVE) == 5


def test_methods_differ_and_a_mapping_keeps_the_order(small: CompareConfig, written: str) -> None:
    found = figures(small)["wide"]["measures"]
    assert len({tuple(v for v in by_seed[0].values()) for by_seed in found.values()}) == len(found)
    assert found["stretch"][0]["auroc<3.5"] == found["l1"][0]["auroc<3.5"]
    assert found["stretch"][0]["r"] == pytest.approx(found["l1"][0]["r"], rel=1e-3)  # cells hold 7 decimals


def test_a_killed_run_goes_on_to_the_same_table(small: CompareConfig, written: str) -> None:
    """As after a kill: of one prior some cells and the backbone are missing, and files are half written. Of the other
    all cells are there, so nothing that they were made from is needed again."""
    before, cells, networks = figures(small), small.out / "cells", small.out / "networks"
    for path in [*sorted(cells.glob("hospital-*"))[::2], *networks.glob("*")]:
        path.with_name(path.name + ".part").write_bytes(path.read_bytes()[:100])
        path.unlink()
    wide = next((small.out / "cohorts").glob("*wide*"))
    wide.rename(small.out / "away")
    kept = {path: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    run(small, least_auroc=None)
    assert figures(small) == before
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list((small.out / "cohorts").glob("*wide*"))
    assert not list(networks.glob("wide*.safetensors"))
    (small.out / "away").rename(wide)


def test_another_configuration_is_another_cell(small: CompareConfig) -> None:
    about = small.about_site(Prior.WIDE, 1)
    same = replace(small, out=Path("elsewhere"), workers=9, seeds=5, head_epochs=9)
    assert digest(same.about_site(Prior.WIDE, 1)) == digest(about)
    others = [
        replace(small, epochs=2),
        replace(small, patients=261),
        replace(small, learning_rate=1e-3),
    ]
    assert digest(about) not in {digest(other.about_site(Prior.WIDE, 1)) for other in others}
    assert digest(about) not in {
        digest(small.about_site(Prior.WIDE, 2)),
        digest(small.about_site(Prior.ESRD, 1)),
    }


def test_columns_and_curves_show_what_they_say(small: CompareConfig, written: str) -> None:
    found = figures(small)["wide"]["measures"]["l1"][0]
    head = next(line for line in written.splitlines() if line.startswith("|  | balanced | all | many"))
    row = next(line for line in written[written.index(head) :].splitlines() if line.startswith(f"| {BACKBONE.title} |"))
    shown = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    for column, measure in (("many", "mae_many"), ("few", "mae_few"), ("low few", "mae_few_low")):
        assert shown[column] == ("-" if found[measure] is None else f"{found[measure]:.3f}")
    assert shown["many"] != "-"
    group = group_of(
        {"l1": 0.8, "quantile_map": 0.5} | {m.name: 0.7 for m in FRONT},
        {"l1": 0.2, "quantile_map": 0.3} | {m.name: 0.2 for m in FRONT},
    )
    curve = free_curve(group)
    for blend, method in ((0, BACKBONE), (1, QUANTILE_MAP)):
        assert tuple(curve[np.isclose(BLENDS, blend)][0]) == pytest.approx(point(group, method))


def test_each_method_stands_beside_the_mapping_of_its_own_networks(small: CompareConfig, written: str) -> None:
    asked = [method for table in TABLES for method in table.asked]
    for method in asked:
        free, *more = references(method)
        assert free.stage is Stage.QUANTILE_MAP
        assert free.networks == ((L1_NETWORK,) if method is DIST_WHOLE else method.networks)
        assert more == ([WITHOUT_DIST] if method is SHIPPED else [])
    assert replace(SHIPPED.objective, loss=WITHOUT_DIST.objective.loss, dist_weight=1.0) == WITHOUT_DIST.objective
    assert WITHOUT_DIST.networks == SHIPPED.networks
    answer = written[written.index("## What Dist Loss buys") : written.index("## A quarter less")]
    assert f"{answer.count('over seeds ±')} differences stand here" in answer
    for method in asked:
        for other in references(method):
            assert f"| {method.title} | {other.title} |" in answer
