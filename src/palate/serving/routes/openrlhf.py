"""OpenRLHF: `POST /get_reward`, as its trainer calls a remote reward model, one sample a request.

Fields as in OpenRLHF's `single_turn_agent` and `serve_rm`. The text is the policy's: its special tokens are kept, its
template is not known. Several addresses share one query, so that some get none: no query, no rewards.
"""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from palate.serving.bodies import Strict, Text
from palate.serving.inputs import Input
from palate.serving.rendering import edges_of
from palate.serving.routes.whole import rewards, scored
from palate.serving.scale import Scale
from palate.serving.service import Service

_SIGMOID = Scale("prob")


class Query(Strict):
    """Whole texts; prompts and labels come along and are not needed."""

    query: list[Text] = Field(default_factory=list)
    prompts: list[Text] | None = None
    labels: list[object] | None = None


class Rewards(BaseModel):
    """Raw rewards, their sigmoid for dynamic filtering, and what the trainer shall log."""

    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]]


def router(service: Service) -> APIRouter:
    """`POST /get_reward`."""
    routes = APIRouter(tags=["OpenRLHF"])
    edges = edges_of(service.engine.model.tokenizer)

    @routes.post("/get_reward", summary="OpenRLHF: rewards of texts")
    async def get_reward(body: Query, request: Request) -> Rewards:
        """`scores` lie in [0, 1]; `extra_logs` say how many tokens each had and whether its turn was closed."""
        inputs: list[Input] = [edges.mend(text) for text in body.query]
        outcomes = await scored(service, request, inputs)
        raw = rewards(outcomes)
        logs = {
            "reward_tokens": [float(outcome.tokens) for outcome in outcomes],
            "reward_ends_with_eos": [float(outcome.ends_with_eos) for outcome in outcomes],
        }
        return Rewards(rewards=raw, scores=[_SIGMOID.apply(one) for one in raw], extra_logs=logs)

    return routes
