"""`palate demo`: the whole of palate's main job on one screen, on data that it makes itself."""

from rich.console import Console

from palate.cli.train import next_steps
from palate.config import DemoConfig, TrainConfig
from palate.evaluation import describe
from palate.training.display import ConsoleDisplay
from palate.training.run import TrainResult, train

QUESTION = "I moved a meeting from Tuesday 10:00 to two days later, two hours later. When is it now?"
ANSWERS = (
    "It is now on Thursday at 12:00.",
    "Bananas keep longest in a cool, dry place, away from other fruit.",
)


def run_demo(config: DemoConfig) -> int:
    """Train, show held-out accuracy before and after, score two answers that a person can judge."""
    console = Console()
    console.print(f"a reward model from {config.model} on {config.num_prompts} built-in prompts, in {config.out}\n")
    result = train(
        TrainConfig(
            model=config.model,
            data=f"simulated:{config.num_prompts}",
            out=config.out,
            seed=config.seed,
            eval_fraction=0.15,
            max_length=256,
            lr=LEARNING_RATE,
            pairs_per_step=16,
            save_every=0,
            overwrite=True,
        ),
        display=ConsoleDisplay(console),
    )
    _judge(result, console)
    return 0


LEARNING_RATE = 1e-4  # a small body on little data; the default 1e-5 suits larger ones


def _judge(result: TrainResult, console: Console) -> None:
    assert result.before is not None
    assert result.after is not None
    console.print(f"\nheld out, before   {describe(result.before)}")
    console.print(f"held out, after    {describe(result.after)}")
    rewards = result.model.score(QUESTION, ANSWERS)
    console.print(f"\n{QUESTION}")
    for answer, reward in sorted(zip(ANSWERS, rewards.tolist(), strict=True), key=lambda pair: -pair[1]):
        console.print(f"  reward {reward:+.3f}  {answer}")
    console.print(
        f"\nsaved in {result.out}: the model (model.safetensors, config.json, tokenizer), its contract (palate.json), "
        f"log.jsonl, summary.json\n{next_steps(result.out)}"
    )
