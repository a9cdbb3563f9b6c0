"""TRL's own GRPO trainer, one step of it, with rewards that a palate server gives."""

from pathlib import Path

import pytest

from palate.client import RemoteReward
from palate.testing.tiny import save_tiny_causal_lm

pytest.importorskip("trl", reason="needs trl (the bench group)")


@pytest.mark.slow
def test_grpo_trains_on_served_rewards(address: str, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    policy = save_tiny_causal_lm(tmp_path / "policy")
    data = Dataset.from_list([{"prompt": [{"role": "user", "content": text}]} for text in ("Which?", "Why?")])
    config = GRPOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=8,
        max_steps=1,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
    )
    reward = RemoteReward(address, api_key="secret")
    trainer = GRPOTrainer(model=str(policy), reward_funcs=reward, args=config, train_dataset=data)
    trainer.train()
    logged = trainer.state.log_history[0]
    assert logged["rewards/palate/mean"] != 0
    assert logged["palate/unscored"] == 0
