"""The recipe of a picture: what is done to it on read, while the original stays as it came."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

HEX_COLOUR = re.compile(r"^#[0-9a-f]{6}$")


class Recipe(BaseModel):
    """Steps applied on read, in this order: upright by EXIF, sRGB, flattened over `background`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    background: Annotated[str, StringConstraints(pattern=HEX_COLOUR.pattern)] = "#ffffff"
