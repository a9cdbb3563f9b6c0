"""What the bodies of all protocols are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from palate.serving.encoding import is_text


class Strict(BaseModel):
    """Unknown fields are refused: an option that is misspelt and ignored is a wrong reward."""

    model_config = ConfigDict(extra="forbid")


def _whole(text: str) -> str:
    if not is_text(text):
        raise ValueError("this is no text: it holds half of a surrogate pair")
    return text


Text = Annotated[str, AfterValidator(_whole)]
"""Text that has an encoding; JSON can spell halves of characters, which no tokenizer takes and no answer can repeat."""
