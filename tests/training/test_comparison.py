"""A comparison in small: complete, resumable, refused when its networks have learnt nothing."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecg_ka.losses import LabelBins, LabelWeights
from ecg_ka.simulator import Prior
from ecg_ka.uncertainty import Regions
from training.calibrate import CalibrateConfig
from training.checks import ChecksConfig
from training.cohort import Split
from training.cohort.__main__ import PROGRAMS
from training.compare import TABLES, run
from training.comparison.cells import Cell, Outcome, digest
from training.comparison.gain import MEASURES, Difference, differences, statement
from training.comparison.methods import (
    BACKBONE,
    CONTROLS,
    CURVE,
    DIST_WHOLE,
    ENRICHED,
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
from training.comparison.plots import BLENDS, error_by_label, free_curve, point
from training.comparison.results import Group, measures, refuse_weak_backbones
from training.comparison.site import Site
from training.comparison.tradeoff import verdict
from training.config import parse
from training.evaluate import EvaluateConfig
from training.export import ExportConfig
from training.metrics import Floats, regression_metrics
from training.objective import ObjectiveConfig, make_objective
from training.personal import PersonalConfig
from training.shift import ShiftConfig
from training.train import TrainConfig


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CompareConfig:
    """Too few ECGs to learn anything, enough for every part to run."""
    out = tmp_path_factory.mktemp("compare")
    return CompareConfig(
        out=out,
        patients=260,
        seeds=1,
        epochs=1,
        batch_size=64,
        head_epochs=2,
        head_batch_size=128,
        workers=1,
    )


@pytest.fixture(scope="module")
def page(config: CompareConfig) -> str:
    with pytest.raises(ValueError, match=r"AUROC .* at K >= 5.5; a comparison is published from"):
        run(config)
    assert not list(config.out.glob("comparison*"))
    return run(config, least_auroc=None).read_text()


def figures(config: CompareConfig) -> dict[str, Any]:
    """What the run found, but for the time that it took."""
    groups: dict[str, Any] = json.loads((config.out / "comparison" / "results.json").read_text())["groups"]
    for group in groups.values():
        for by_seed in group["measures"].values():
            for found in by_seed:
                del found["seconds_per_step"]
    return groups


def test_every_method_and_every_control_is_in_its_tables(config: CompareConfig, page: str) -> None:
    for table in TABLES:
        assert set(CONTROLS) <= set(table.methods)
        section = page[page.index(f"## {table.title}") :].split("\n## ")[0]
        for method in table.methods:
            assert section.count(f"| {method.title} |") == 4
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", page):
        assert 1_000 < (config.out / picture).stat().st_size < 150_000
    assert len({m.name for m in (*TIER_1, *TIER_2, *TIER_3)}) == len({*TIER_1, *TIER_2, *TIER_3})
    assert len(CURVE) == 5


def test_methods_differ_and_a_mapping_keeps_the_order(config: CompareConfig, page: str) -> None:
    found = figures(config)["wide"]["measures"]
    assert len({tuple(v for v in by_seed[0].values()) for by_seed in found.values()}) == len(found)
    assert found["stretch"][0]["auroc<3.5"] == found["l1"][0]["auroc<3.5"]
    assert found["stretch"][0]["r"] == pytest.approx(found["l1"][0]["r"], rel=1e-3)  # cells hold 7 decimals


def test_a_killed_run_goes_on_to_the_same_table(config: CompareConfig, page: str) -> None:
    """As after a kill: of one prior some cells and the backbone are missing, and files are half written. Of the other
    all cells are there, so nothing that they were made from is needed again."""
    before, cells, networks = figures(config), config.out / "cells", config.out / "networks"
    for path in [*sorted(cells.glob("hospital-*"))[::2], *networks.glob("*")]:
        path.with_name(path.name + ".part").write_bytes(path.read_bytes()[:100])
        path.unlink()
    wide = next((config.out / "cohorts").glob("*wide*"))
    wide.rename(config.out / "away")
    kept = {path: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    run(config, least_auroc=None)
    assert figures(config) == before
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list((config.out / "cohorts").glob("*wide*"))
    assert not list(networks.glob("wide*.safetensors"))
    (config.out / "away").rename(wide)


def test_another_configuration_is_another_cell(config: CompareConfig) -> None:
    about = config.about_site(Prior.WIDE, 1)
    same = replace(config, out=Path("elsewhere"), workers=9, seeds=5, head_epochs=9)
    assert digest(same.about_site(Prior.WIDE, 1)) == digest(about)
    others = [replace(config, epochs=2), replace(config, patients=261), replace(config, learning_rate=1e-3)]
    assert digest(about) not in {digest(other.about_site(Prior.WIDE, 1)) for other in others}
    assert digest(about) not in {
        digest(config.about_site(Prior.WIDE, 2)),
        digest(config.about_site(Prior.ESRD, 1)),
    }


def labels(seed: int, n: int = 1500) -> Floats:
    rng = np.random.default_rng(seed)
    return np.asarray(np.round(np.clip(rng.standard_t(4, n) * 0.5 + 4.2, 2, 8), 1), dtype=np.float64)


def cell(y: Floats, estimates: Floats, seed: int = 1) -> Cell:
    return Cell(prior="wide", seed=seed, method="m", outcome=Outcome(y, estimates, None))


def scaled(factor: float, noise: float = 0.3) -> list[Cell]:
    """Estimates that spread by ``factor`` around the middle, of three seeds; the same noise for every factor."""
    out = []
    for seed in (1, 2, 3):
        y = labels(seed)
        out.append(cell(y, 4.2 + factor * (y - 4.2 + noise * np.random.default_rng(seed).normal(size=len(y))), seed))
    return out


def test_differences_are_those_of_the_metrics() -> None:
    wide, narrow = scaled(0.9), scaled(0.4)
    found = differences(wide, narrow, resamples=50)
    names = dict(zip(MEASURES, ("mae_few", "mae_many", "balanced_mae"), strict=True))
    for measure, name in names.items():
        direct = [measures(a)[name] - measures(b)[name] for a, b in zip(wide, narrow, strict=True)]
        assert found[measure].by_seed == pytest.approx(direct)
        assert found[measure].value == pytest.approx(np.mean(direct))
        assert found[measure].lower < found[measure].value < found[measure].upper


def test_the_statement_has_the_right_signs() -> None:
    wide, narrow = scaled(0.9), scaled(0.4)
    found = differences(wide, narrow, 300)
    assert found["few-shot MAE"].is_lower
    assert found["many-shot MAE"].is_higher
    assert found["balanced MAE"].is_lower
    words = statement("Wide", "narrow", found)
    assert "It trades: few-shot MAE and balanced MAE lower, many-shot MAE higher." in words
    assert f"few-shot MAE {found['few-shot MAE'].value:+.3f}" in words
    back = statement("Narrow", "wide", differences(narrow, wide, 300))
    assert "It trades: many-shot MAE lower, few-shot MAE and balanced MAE higher." in back
    better = differences(scaled(0.9, 0.0), scaled(0.5, 0.0), 300)
    assert "It is better: few-shot MAE, many-shot MAE and balanced MAE lower" in statement("a", "b", better)
    worse = differences(scaled(0.5, 0.0), scaled(0.9, 0.0), 300)
    assert "It is worse: few-shot MAE, many-shot MAE and balanced MAE higher" in statement("a", "b", worse)


def test_nothing_is_claimed_from_noise_or_against_one_seed() -> None:
    ours, theirs = ([cell(labels(s), labels(s) + np.random.default_rng(s + k).normal(size=1500), s) for s in (1, 2, 3)]
                    for k in (10, 20))  # fmt: skip
    assert statement("a", "b", differences(ours, ours, 300)).endswith("No difference is shown.")
    found = differences(ours, theirs, 300)
    assert all(d.lower < d.value < d.upper for d in found.values())
    mixed = [*scaled(0.9)[:2], scaled(0.2)[2]]
    assert not differences(mixed, scaled(0.4), 300)["few-shot MAE"].is_lower
    with pytest.raises(ValueError, match="different patients"):
        differences(scaled(0.9), scaled(0.9)[::-1])


def test_the_interval_is_as_wide_as_theory_says() -> None:
    """For one region and one seed: that of the mean of paired differences."""
    y = labels(5)
    a, b = (np.random.default_rng(s).normal(size=len(y)) for s in (6, 7))
    found = differences([cell(y, y + a)], [cell(y, y + b)])["many-shot MAE"]
    paired = (np.abs(a) - np.abs(b))[Regions().group(y) == 2]
    half = 1.96 * paired.std(ddof=1) / math.sqrt(len(paired))
    assert found.upper - found.lower == pytest.approx(2 * half, rel=0.08)


def test_weak_backbones_are_refused_and_good_ones_are_not() -> None:
    y = labels(1)
    noise = np.random.default_rng(0).normal(size=len(y))
    good, weak = cell(y, y + 0.3 * noise), cell(y, y + 9 * noise)
    refuse_weak_backbones([good, good])
    with pytest.raises(ValueError, match=r"prior wide have AUROC 0\.\d+ at K >= 5.5"):
        refuse_weak_backbones([weak])
    with pytest.raises(ValueError, match=r"nan at K >= 5\.5"):
        refuse_weak_backbones([good, cell(np.full(50, 4.2), np.linspace(4, 5, 50))])
    assert regression_metrics(y, y, Regions())["mae"] == 0


def group_of(few: dict[str, float], many: dict[str, float]) -> Group:
    """Methods whose error is this in every few- and many-shot label, two seeds."""
    y = labels(3)
    region = Regions().group(y)
    methods = [BACKBONE, QUANTILE_MAP, *FRONT]

    def estimates(name: str) -> Floats:
        errors = np.select([region == 2, np.isin(region, (0, 4))], [many[name], few[name]], 0.5)
        return np.asarray(y + errors, dtype=np.float64)

    cells = {m.name: [cell(y, estimates(m.name), seed) for seed in (1, 2)] for m in methods}
    return Group("g", "Title", "wide", methods, (QUANTILE_MAP,), cells)


def test_the_verdict_is_the_arithmetic_of_the_errors() -> None:
    many = {"l1": 0.2, "quantile_map": 0.3} | {m.name: 0.2 + 0.02 * i for i, m in enumerate(FRONT)}
    few = {"l1": 0.8, "quantile_map": 0.5} | {m.name: 0.8 - 0.11 * i for i, m in enumerate(FRONT)}
    words = verdict(group_of(few, many))
    assert "Reached by 1 of 8 methods." in words
    assert f"that of {FRONT[2].title}: -27.5 % at +20.0 % (by seed -27.5, -27.5 at +20.0, +20.0 %)" in words
    assert "few -34.4 % where many is at +25 %; many +18.2 % where few is at -25 %." in words
    assert "Dist Loss with inverse weights" not in words
    assert f"| {QUANTILE_MAP.title} | -37.5 % | +50.0 % |" in words
    hopeless = verdict(group_of(few | {m.name: 0.75 for m in FRONT}, many))
    assert "No method reaches it." in hopeless
    assert "few from -6.2 % to -6.2 %, never at -25 %" in hopeless


def test_the_reference_curve_weighs_two_errors() -> None:
    """Weighted so, the mean loss is the share a of the few-shot MAE and 1 - a of the many-shot MAE."""
    y, p = labels(4), labels(5)
    found = regression_metrics(y, p, Regions())
    for method in FRONT:
        loss = make_objective(method.objective, y, 8).loss
        a = method.objective.few_share
        expected = (1 - a) * found["mae_many"] + a * found["mae_few"]
        assert float(loss(torch.tensor(p), torch.tensor(y))) == pytest.approx(expected, rel=1e-5)


def test_mappings_are_fitted_without_the_test_split(config: CompareConfig, page: str) -> None:
    site = Site(config, Prior.WIDE, 1)
    _, reference, fitted_to = site._free(QUANTILE_MAP)
    rows = {split: site.cohort.rows(split) for split in Split}
    np.testing.assert_array_equal(fitted_to, site.cohort.labels(rows[Split.TRAIN]))
    np.testing.assert_array_equal(reference, site._trained(L1_NETWORK).estimates(Split.CALIBRATION))


def test_other_features_are_those_of_other_networks(config: CompareConfig, page: str) -> None:
    site = Site(config, Prior.WIDE, 1)
    backbones = [site._trained(network) for network in (L1_NETWORK, ENRICHED)]
    assert not torch.equal(backbones[0].features[Split.TEST], backbones[1].features[Split.TEST])
    together = site._joined(backbones).features[Split.TEST]
    assert torch.equal(together, torch.cat([b.features[Split.TEST] for b in backbones], dim=1))


def test_columns_and_curves_show_what_they_say(config: CompareConfig, page: str) -> None:
    found = figures(config)["wide"]["measures"]["l1"][0]
    head = next(line for line in page.splitlines() if line.startswith("|  | balanced | all | many"))
    row = next(line for line in page[page.index(head) :].splitlines() if line.startswith(f"| {BACKBONE.title} |"))
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


def test_a_damaged_cell_is_named(config: CompareConfig, page: str) -> None:
    path = min((config.out / "cells").glob("wide-1-l2-*"))
    whole = path.read_text()
    others = [json.dumps(json.loads(whole) | given) for given in ({"estimates": [4.2]}, {"seed": 2}, {"method": "l1"})]
    for damaged in (whole[:500], "{}", *others):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=f"{path.name}.*delete it"):
            Site(config, Prior.WIDE, 1).cell(next(m for m in TIER_1 if m.name == "l2"))
    path.write_text(whole)


def test_nothing_is_called_better_whose_price_leaves_out_zero() -> None:
    """The price is too high in two of three seeds, and by its interval."""
    few = Difference(-0.05, -0.08, -0.02, (-0.04, -0.05, -0.06))
    many = Difference(0.02, 0.01, 0.03, (0.03, 0.04, -0.01))
    none = Difference(0.0, -0.1, 0.1, (0.1, -0.1, 0.0))
    words = statement("a", "b", dict(zip(MEASURES, (few, many, none), strict=True)))
    assert words.endswith("Few-shot MAE lower; by its interval many-shot MAE higher, but not in every seed.")
    assert many.half_over_seeds == pytest.approx(4.3027 * 0.026458 / 3**0.5, rel=1e-3)


def test_each_method_stands_beside_the_mapping_of_its_own_networks(config: CompareConfig, page: str) -> None:
    asked = [method for table in TABLES for method in table.asked]
    for method in asked:
        free, *more = references(method)
        assert free.stage is Stage.QUANTILE_MAP
        assert free.networks == ((L1_NETWORK,) if method is DIST_WHOLE else method.networks)
        assert more == ([WITHOUT_DIST] if method is SHIPPED else [])
    assert replace(SHIPPED.objective, loss=WITHOUT_DIST.objective.loss, dist_weight=1.0) == WITHOUT_DIST.objective
    assert WITHOUT_DIST.networks == SHIPPED.networks
    answer = page[page.index("## What Dist Loss buys") : page.index("## A quarter less")]
    assert f"{answer.count('over seeds ±')} differences stand here" in answer
    for method in asked:
        for other in references(method):
            assert f"| {method.title} | {other.title} |" in answer


def test_the_error_is_drawn_at_its_label() -> None:
    """An error that says at which label it is: its mean over the labels that round to 0.2 mmol/L."""
    y = labels(6)
    made = {m.name: [cell(y, y + (y - 1))] for m in (BACKBONE, QUANTILE_MAP, DIST_WHOLE, *CONTROLS)}
    methods = (BACKBONE, *CONTROLS, DIST_WHOLE)
    (axes,) = error_by_label(Group("g", "Title", "wide", methods, (DIST_WHOLE,), made)).axes
    x, error = (np.asarray(values) for values in axes.lines[0].get_data())
    np.testing.assert_allclose(x, np.rint(x * 5) / 5)
    assert len(x) > 10
    np.testing.assert_allclose(error, x - 1, atol=0.1 + 1e-9)


def test_a_damaged_network_is_named(config: CompareConfig, page: str) -> None:
    site = Site(config, Prior.WIDE, 1)
    site._trained(L1_NETWORK)
    (path,) = (config.out / "networks").glob("wide-1-l1-*")
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match=f"{path.name} is damaged .*delete it"):
        site._trained(L1_NETWORK)
    path.write_bytes(whole)


CONFIGS = (CalibrateConfig, ChecksConfig, CompareConfig, EvaluateConfig, ExportConfig, PersonalConfig, ShiftConfig,
           TrainConfig, *(of_program for of_program, _ in PROGRAMS.values()))  # fmt: skip


@pytest.mark.parametrize("of_program", CONFIGS)
def test_every_program_explains_itself(of_program: type[Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        parse(of_program, ["--help"])
    shown = capsys.readouterr().out
    assert "--out" in shown
    assert "%%" not in shown


@pytest.mark.parametrize("name", ["few_share", "dist_weight", "dist_tempering"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_shares_and_weights_that_mean_nothing_are_refused(name: str, value: float) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{value}.*expected"):
        ObjectiveConfig(**given)
    with pytest.raises(ValueError, match="expected"):
        ObjectiveConfig(dist_tempering=0.0)
    assert ObjectiveConfig(dist_weight=0.0, few_share=1.0).dist_weight == 0


@pytest.mark.parametrize("relative", [[1.0], [1.0, -1.0, 1.0], [1.0, math.nan, 1.0], [1.0, math.inf, 1.0], [0, 1, 0]])
def test_label_weights_that_mean_nothing_are_refused(relative: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LabelWeights(LabelBins.from_labels([1.0, 3.0], width=1), relative)
