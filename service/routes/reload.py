"""Another model in place of the one in use."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request

from service.access.guard import TheAct
from service.models import Models
from service.routes.refusals import refusals
from service.schemas import ModelReloadOut

router = APIRouter(prefix="/v1/model", tags=["model"])


@router.post("/reload", responses=refusals(409, 503))
def reload(request: Request, act: TheAct) -> ModelReloadOut:
    """Read the bundle at ECG_KA_BUNDLE anew, and answer with it once it gave the answers of its reference ECGs.

    Requests under way end with the model that they began with. 409, with the reason: the bundle is refused, and the
    model in use stays. This tells the process that answers; workers and other processes are told by SIGHUP.
    """
    models: Models = request.state["models"]
    change = models.reload(request.state["store"], act)
    before, now = change.before, change.now
    return ModelReloadOut.model_validate(
        {
            "before": asdict(before.bundle.identity()) if before else None,
            "now": asdict(now.estimator.bundle.identity()),
            "n_references": now.n_references,
            "largest_difference": now.largest_difference,
        }
    )
