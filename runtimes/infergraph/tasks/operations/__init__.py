"""What the operators of `infergraph.tasks.operators` do, one class for each kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .boxes import Margin, Regions, Tile, TileMerge
from .filters import Keyword, NotBlank, Sample, Threshold
from .labels import Concatenate, Count, Map, Regex, Sentence
from .reading_order import AggregateText

AnyOperation = Annotated[
    AggregateText
    | Concatenate
    | Count
    | Keyword
    | Map
    | Margin
    | NotBlank
    | Regex
    | Regions
    | Sample
    | Sentence
    | Threshold
    | Tile
    | TileMerge,
    Field(discriminator="kind"),
]
"""One of the kinds; the field `kind` says which."""
