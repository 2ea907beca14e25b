"""Counters and gauges for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.monitoring.meter import CONTENT_TYPE, Meter

router = APIRouter(tags=["monitoring"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Counters of this process and gauges of what is kept, in the text format of Prometheus."""
    meter: Meter = request.state["meter"]
    return Response(meter.exposition(), media_type=CONTENT_TYPE)
