"""What is audited: a checkpoint, opened even where palate would refuse to use it, or a server."""

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

from palate.atomic import write_text
from palate.errors import ContractError, MissingHeadError, ModelError, PalateWarning
from palate.model import checkpoint
from palate.model.contract import FILE_NAME, check
from palate.model.loading import DtypeName, resolve_dtype
from palate.model.reward_model import RewardModel
from palate.model.saving import classifier_class


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint and what was wrong with it already on opening.

    Attributes:
        model: None where it has no usable head.
        directory: of its files.
        missing_head: what is missing; empty where nothing is.
        mismatch: in what its files differ from its contract; empty where they do not.
        remarks: what else loading had to say.
    """

    model: RewardModel | None
    directory: Path
    missing_head: str = ""
    mismatch: str = ""
    remarks: tuple[str, ...] = field(default=())

    def save_temperature(self, temperature: float) -> None:
        """Write a fitted temperature into `palate.json`, and nothing else."""
        assert self.model is not None
        assert self.model.contract is not None
        write_text(self.directory / FILE_NAME, replace(self.model.contract, temperature=temperature).to_json())


def open_checkpoint(name: str, *, dtype: DtypeName = "fp32", trust_remote_code: bool = False) -> Opened:
    """Open a reward model of palate's or any one-label classifier; faults that can be audited do not stop it.

    Raises:
        ModelError: there is nothing that could be audited: no such directory, no safetensors, a broken file.
    """
    directory = checkpoint.local_directory(name, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PalateWarning)  # they are in `remarks`
            model = RewardModel.from_pretrained(name, check_contract=False, trust_remote_code=trust_remote_code)
    except MissingHeadError as error:
        return Opened(None, directory, missing_head=str(error))
    model.compute_dtype = resolve_dtype(dtype, model.device)
    mismatch = ""
    if model.contract is not None:
        try:
            check(model.contract, tokenizer=model.tokenizer, head_weight=model.head.score.weight, where=name)
        except ContractError as error:
            mismatch = str(error)
    return Opened(model, directory, mismatch=mismatch, remarks=model.remarks)


def can_be_served(opened: Opened) -> str:
    """Why transformers' own classifier cannot be compared with palate's rewards; empty where it can."""
    if opened.model is None:
        return "there is no head"
    if opened.model.pooling_name != "last":
        return f"only palate loads pooling {opened.model.pooling_name!r}"
    try:
        kind = classifier_class(opened.model.backbone.config)
    except ModelError as error:
        return str(error)
    return "" if kind is not None else "transformers has no classifier of this body"
