"""Text Embeddings Inference: `POST /predict`.

Its `inputs` may be one text, a batch of lists of one text each, or a pair of texts for a cross-encoder. A pair has no
chat template and no reward, and is refused. `raw_scores` is false there unless it is asked for; here what is absent
means raw, and false has to be said.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from palate.serving.bodies import Strict, Text
from palate.serving.inputs import OnOverlong
from palate.serving.rendering import edges_of
from palate.serving.routes.whole import rewards, scored
from palate.serving.scale import Scale
from palate.serving.service import Service

_RAW, _SIGMOID = Scale("raw"), Scale("prob")


class PredictBody(Strict):
    """One rendered text, or a batch."""

    inputs: Text | list[Annotated[list[Text], Field(min_length=1, max_length=1)]]
    raw_scores: bool = True
    truncate: bool | None = None
    truncation_direction: Literal["Left", "left"] | None = None


class Prediction(BaseModel):
    """The one label."""

    score: float
    label: str = "LABEL_0"


def router(service: Service) -> APIRouter:
    """`POST /predict`."""
    routes = APIRouter(tags=["TEI"])
    edges = edges_of(service.engine.model.tokenizer)

    @routes.post("/predict", summary="TEI: rewards of texts")
    async def predict(body: PredictBody, request: Request) -> list[Prediction] | list[list[Prediction]]:
        """A list of one label for one text, a list of such lists for a batch."""
        texts = [body.inputs] if isinstance(body.inputs, str) else [one for (one,) in body.inputs]
        over: OnOverlong = "truncate_left" if body.truncate else "error"
        outcomes = await scored(service, request, [edges.mend(text) for text in texts], on_overlong=over)
        scale = _RAW if body.raw_scores else _SIGMOID
        found = [[Prediction(score=scale.apply(one))] for one in rewards(outcomes)]
        return found[0] if isinstance(body.inputs, str) else found

    return routes
