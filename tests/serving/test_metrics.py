"""Figures for Prometheus say what happened."""

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.asking import Served, run, served

from palate.model.reward_model import RewardModel
from palate.serving.metrics import Metrics, slope_and_correlation


async def figures(server: Served) -> dict[str, float]:
    text = (await server.client.get("/metrics")).text
    return {
        sample.name + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_was_served_is_counted(model: RewardModel) -> None:
    items = [{"prompt": "a", "response": "b" * n} for n in range(1, 40)]

    async def main() -> None:
        async with served(model) as server:
            answer = (await server.reward(items)).json()
            await server.reward(items[:10])
            await server.reward([{"prompt": "a", "response": "b" * 1000}])
            found = await figures(server)
        assert found["palate_requests_total,code=200,route=/v1/reward"] == 3
        assert found["palate_request_seconds_count,route=/v1/reward"] == 3
        assert found["palate_queue_items"] == 0
        assert found["palate_queue_seconds_count"] == len(items)
        assert found["palate_tokens_total"] == answer["usage"]["total_tokens"]
        assert 0 < found["palate_computed_tokens_total"] < found["palate_tokens_total"]
        assert found["palate_batch_items_sum"] == len(items)
        assert 0 < found["palate_batch_fill_sum"] < 1
        assert found["palate_cache_total,result=hit"] == 10
        assert found["palate_cache_total,result=miss"] == len(items)
        assert found["palate_reward_count"] == len(items) + 10
        assert found["palate_item_errors_total,type=over-long"] == 1
        scores = [item["score"] for item in answer["data"]]
        tokens = [item["tokens"] for item in answer["data"]]
        scores, tokens = scores + scores[:10], tokens + tokens[:10]
        assert found["palate_reward_length_correlation"] == pytest.approx(np.corrcoef(tokens, scores)[0, 1], abs=1e-6)
        assert found["palate_reward_length_slope"] == pytest.approx(np.polyfit(tokens, scores, 1)[0], abs=1e-6)
        assert found["palate_reward_mean"] == pytest.approx(np.mean(scores), abs=1e-6)
        assert found["palate_reward_std"] == pytest.approx(np.std(scores), abs=1e-6)

    run(main())


def test_buckets_follow_the_rewards_of_training() -> None:
    text = Metrics(center=10.0, width=2.0).text().decode()
    assert 'palate_reward_bucket{le="2.0"}' in text
    assert 'palate_reward_bucket{le="18.0"}' in text


def test_what_does_not_vary_has_no_slope(model: RewardModel) -> None:
    async def main() -> None:
        async with served(model) as server:
            for _ in range(2):
                found = await figures(server)
                assert np.isnan(found["palate_reward_length_slope"])
                assert np.isnan(found["palate_reward_length_correlation"])
                await server.reward([{"prompt": "a", "response": "b"}])

    run(main())
    ones, line = np.ones(5), np.arange(5.0)
    assert slope_and_correlation(ones, line) is None
    assert slope_and_correlation(line, ones) is None
    assert slope_and_correlation(line, -2 * line) == pytest.approx((-2.0, -1.0))
