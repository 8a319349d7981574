"""A new look at originals that came in before everything was measured that is today."""

from dataclasses import dataclass, field

from app.collect.blobs import blob_path
from app.collect.decode_child import Measured
from app.collect.decoders import Decoders
from app.collect.gather import Gathered
from app.collect.refusals import Refused
from app.config import Settings
from app.store.measures import Unmeasured


@dataclass(frozen=True)
class MeasureTask:
    """An original that is here already; its number tells it from others of its name."""

    image: Unmeasured
    settings: Settings
    decoders: Decoders = field(repr=False)

    @property
    def name(self) -> str:
        """Its name with its number."""
        return f"{self.image.image_id}: {self.image.name}"

    def gather(self) -> Gathered:
        """Have it decoded once more."""
        try:
            found = measured_again(self.image, self.settings, self.decoders)
        except Refused as refusal:
            return Gathered(self.name, refusal=refusal)
        return Gathered(self.name, again=found, image_id=self.image.image_id)


def measured_again(image: Unmeasured, settings: Settings, decoders: Decoders) -> Measured:
    """Look at an original once more. Raises Refused, and Unavailable as Decoder.measure does."""
    found = decoders.measure(blob_path(settings, image.sha256, image.extension), image.name)
    if found.sha256 != image.sha256:
        raise Refused("F01", f"{image.name} was changed on the disk.", "Remove it and add the image again.")
    return found
