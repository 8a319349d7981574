"""What a look for base models left behind beside the list: VAEs to choose from, files that are no bases, choices."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.contract.base_file import Prediction
from app.contract.families import FamilyKey
from app.contract.tensor_file import MALFORMED
from app.errors import Invalid
from app.launch.bases import Look, Refused, prediction_of
from app.store import bases, settings

VAES_SETTING = "base_vaes"
REFUSED_SETTING = "base_refused"
MOST_REFUSED = 50
PREDICTIONS: dict[str, tuple[Prediction, bool]] = {
    "epsilon": ("epsilon", False),
    "v": ("v_prediction", False),
    "v-zero-snr": ("v_prediction", True),
}
"""What can be said of a base that does not tell: its prediction, and whether its schedule ends in noise alone."""
FAMILY_OF_SCALE: dict[float, FamilyKey] = {0.18215: "sd15", 0.13025: "sdxl"}


@dataclass(frozen=True)
class Vae:
    """A VAE that can stand in for a base's own; `family` is None for a file, which does not tell."""

    path: str
    label: str
    family: FamilyKey | None

    @property
    def key(self) -> str:
        """Names it on a page, where paths have no place."""
        return hashlib.sha256(self.path.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def remember(session: Session, seen: Look) -> None:
    """Keep what the newest look found beside bases."""
    settings.put(session, VAES_SETTING, json.dumps([str(path) for path in seen.vaes]))
    told = [(each.name, each.reason) for each in seen.refused[:MOST_REFUSED]]
    settings.put(session, REFUSED_SETTING, json.dumps(told))


def refused(session: Session) -> tuple[Refused, ...]:
    """The files of the newest look that cannot be bases, and why."""
    return tuple(Refused(*pair) for pair in json.loads(settings.get(session, REFUSED_SETTING, "[]")))


def vaes(session: Session, family: FamilyKey) -> tuple[Vae, ...]:
    """The VAEs that are still there and may belong to the family."""
    paths = [Path(path) for path in json.loads(settings.get(session, VAES_SETTING, "[]"))]
    found = [Vae(str(path), path.stem, _family(path)) for path in paths if path.exists()]
    return _told_apart([vae for vae in found if vae.family in (None, family)])


def _told_apart(found: Sequence[Vae]) -> tuple[Vae, ...]:
    labels = [vae.label for vae in found]
    return tuple(
        vae if labels.count(vae.label) == 1 else Vae(vae.path, f"{Path(vae.path).parent.name}/{vae.label}", vae.family)
        for vae in found
    )


def _family(path: Path) -> FamilyKey | None:
    if path.is_file():
        return None
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        return FAMILY_OF_SCALE.get(float(config["scaling_factor"]))
    except (OSError, *MALFORMED):
        return None


def vae_of(session: Session, base_id: int) -> str:
    """The path of the VAE chosen for a base; empty for its own."""
    return settings.get(session, _key(base_id), "")


def choose_vae(session: Session, base_id: int, key: str) -> None:
    """Choose a base's VAE by its key; empty for its own. Raises NotFound for no base, Invalid for no such VAE."""
    base = bases.get(session, base_id)
    paths = {vae.key: vae.path for vae in vaes(session, base.family)}
    if key and key not in paths:
        raise Invalid("That VAE is not among those found.", "Look for base models again, then choose one.", "vae")
    settings.put(session, _key(base_id), paths.get(key, ""))


def _key(base_id: int) -> str:
    return f"base_vae:{base_id}"


def prediction_choice_of(session: Session, base_id: int) -> str:
    """What was said of a base's prediction, as PREDICTIONS names it; empty when nothing was."""
    found = settings.get(session, _prediction_key(base_id), "")
    return found if found in PREDICTIONS else ""


def choose_prediction(session: Session, base_id: int, key: str) -> None:
    """Say what a base predicts; empty for what most do.

    Raises NotFound for no base, Invalid for what none predicts and for a base whose own files tell.
    """
    base = bases.get(session, base_id)
    if key and key not in PREDICTIONS:
        raise Invalid("A base predicts noise or velocity.", f"Choose one of {', '.join(PREDICTIONS)}.", "prediction")
    if key and prediction_of(Path(base.path)).is_sure:
        raise Invalid(f"The files of {base.name} tell what it predicts.", "Leave it to them.", "prediction")
    settings.put(session, _prediction_key(base_id), key)


def _prediction_key(base_id: int) -> str:
    return f"base_prediction:{base_id}"
