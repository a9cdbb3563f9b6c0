"""`palate demo`: the whole of palate's main job on one screen, on data that it makes itself."""

from rich.console import Console

from palate.cli.train import next_steps
from palate.config import DemoConfig, TrainConfig
from palate.evaluation import describe
from palate.training.display import ConsoleDisplay
from palate.training.outcome import TrainResult
from palate.training.run import train

QUESTION = "I moved a meeting from Tuesday 10:00 to two days later, two hours later. When is it now?"
ANSWERS = (
    "It is now on Thursday at 12:00.",
    "Bananas keep longest in a cool, dry place, away from other fruit.",
)
LEARNING_RATE = 1e-4  # a small body on little data; the default 1e-5 suits larger ones


def run_demo(config: DemoConfig) -> int:
    """Train, show held-out accuracy before and after, score two answers that a person can judge."""
    console = Console(emoji=False)
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


def _judge(result: TrainResult, console: Console) -> None:
    assert result.before is not None
    assert result.after is not None
    rewards = result.model.score(QUESTION, ANSWERS).tolist()
    lines = [
        "",
        f"held out, before   {describe(result.before)}",
        f"held out, after    {describe(result.after)}",
        "",
        QUESTION,
        *(f"  reward {r:+.3f}   {answer}" for r, answer in sorted(zip(rewards, ANSWERS, strict=True), reverse=True)),
        "",
        f"saved in {result.out}: the model, its contract (palate.json), log.jsonl, summary.json",
        next_steps(result.out),
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
