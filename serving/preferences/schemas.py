"""What readers may say about their recommendations."""

import uuid
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from serving.kit.fields import Body, Changes
from serving.recommendations.schemas import DIVERSITY, PAGE_EXAMPLE
from serving.shapes import BOOK_EXAMPLE

Diversity = Annotated[float, Field(strict=True, ge=0, le=1)]
Event = Literal["click", "dismiss", "read"]


class ReaderSettings(BaseModel):
    enabled: bool = Field(description="False: popular books only, whatever was rated")
    diversity: float | None = Field(ge=0, le=1, description=f"{DIVERSITY}; null: no wish")


class SettingsChanges(Changes):
    """The fields that were sent are changed; a diversity of null takes the wish back."""

    enabled: bool = Field(default_factory=bool, strict=True, description="False: popular books only", examples=[True])
    diversity: Diversity | None = Field(default=None, description=DIVERSITY, examples=[0.3])


class Feedback(Body):
    page_id: uuid.UUID = Field(description="Of the list that was shown", examples=[PAGE_EXAMPLE])
    book_id: uuid.UUID = Field(description="A book of that list", examples=[BOOK_EXAMPLE["id"]])
    event: Event = Field(description="Looked at; not wanted; read", examples=["click"])


SETTINGS_EXAMPLE: Final[dict[str, Any]] = {"enabled": True, "diversity": 0.3}
FEEDBACK_EXAMPLE: Final[dict[str, Any]] = {"page_id": PAGE_EXAMPLE, "book_id": BOOK_EXAMPLE["id"], "event": "click"}
