"""What the genre operations take."""

from typing import Annotated

from pydantic import Field

from serving.books.schemas import heading, long_text
from serving.kit.fields import Body, Changes, Prose

LONGEST_NAME, LONGEST_DESCRIPTION = 100, 500

Name = Annotated[str, heading(LONGEST_NAME), Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_NAME})]
Description = Annotated[
    Prose, long_text(LONGEST_DESCRIPTION), Field(json_schema_extra={"maxLength": LONGEST_DESCRIPTION})
]


class GenreDraft(Body):
    name: Name = Field(description="Unique whatever its case", examples=["Young Adult"])
    description: Description | None = Field(default=None, examples=["Growing up."])


class GenreChanges(Changes):
    """The fields that were sent are changed; a description of null goes away."""

    name: Name = Field(default_factory=str, description="Unique whatever its case", examples=["Young Adult"])
    description: Description | None = Field(default=None, examples=["Growing up."])
