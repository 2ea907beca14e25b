"""What is known about the model."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from ecg_ka import BANDS_SENTENCE, DISCLAIMER, SEVERE_SENTENCE, Band, Category, SevereBand
from service.routes.refusals import refusals
from service.schemas import ModelOut
from service.state import LoadedEstimator

router = APIRouter(prefix="/v1", tags=["model"])


@router.get("/model", responses=refusals(503))
async def model(estimator: LoadedEstimator) -> ModelOut:
    """The loaded bundle: identity, provenance, signal, regions and measured performance."""
    bundle = estimator.bundle
    return ModelOut.model_validate(
        {
            "identity": asdict(bundle.identity()),
            "provenance": asdict(bundle.provenance),
            "signal": asdict(bundle.signal),
            "regions": asdict(bundle.regions),
            "density": bundle.density.to_dict(),
            "operating_points": asdict(bundle.calibration.operating_points),
            "policy": bundle.policy.to_dict(),
            "members": bundle.members,
            "wide_interval_mmol_l": bundle.wide_interval_mmol_l,
            "metrics": bundle.metrics,
            "words": _words(),
            "disclaimer": DISCLAIMER,
        }
    )


def _words() -> dict[str, object]:
    return {
        "category": {str(category): category.sentence for category in Category},
        "bands": {str(band): band.words for band in Band},
        "severe_bands": {str(band): band.words for band in SevereBand},
        "bands_sentence": BANDS_SENTENCE,
        "severe_sentence": SEVERE_SENTENCE,
    }
