"""`palate export` and `palate parity`."""

from palate.config import ExportConfig, ParityConfig
from palate.parity_check.run import Parity, parity


def run_export(config: ExportConfig) -> int:
    """Write the directory and say how to use it."""
    from palate.exporting.run import export

    done = export(config, say=print)
    print(f"{done.texts} golden texts with their rewards in {done.directory}/golden.jsonl; the rest in export.json")
    print(f"loads it: {done.loads}")
    if done.command:
        print(done.command)
    return 0


def run_parity(config: ParityConfig) -> int:
    """Print the figures and what is wrong; 0 where the server agrees, 1 where it does not."""
    found = parity(config, say=print)
    for line in lines_of(found):
        print(line)
    return int(not found.agrees)


def lines_of(found: Parity) -> list[str]:
    """What a comparison found, for people."""
    figures = found.figures
    spearman = "none, one side is constant" if figures.spearman is None else f"{figures.spearman:.4f}"
    lines = [
        f"difference: {figures.max_difference:.3g} at most, {figures.mean_difference:.3g} on average; "
        f"our rewards have a standard deviation of {figures.std:.3g}",
        f"order: Spearman {spearman}; {figures.flips:.2%} of all pairs are ordered differently",
        f"line: served = {figures.slope:.4g} * ours {figures.offset:+.4g}, leaving {figures.residual:.2g}",
    ]
    for finding in found.findings:
        lines += [f"{finding.fault}: {finding.message}", f"  to do: {finding.remedy}"]
    verdicts = {
        "parity": f"parity: {found.url} gives this model's rewards",
        "half-precision": f"parity: {found.url} gives this model's rewards, as far as half precision goes",
        "differs": f"no parity: {found.url} does not give this model's rewards",
    }
    return [*lines, verdicts[found.verdict]]
