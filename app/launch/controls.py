"""The controls of the training form, made from the spec: words, bounds, units, and where each stands."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.contract.optimizers import missing_package
from app.contract.spec import Data, Network, Optimization, Optimizer, Sampling, Saving, Validation

FieldKind = Literal["int", "float", "choice", "bool", "text", "lines"]
MODELS: dict[str, type[BaseModel]] = {
    "optimization": Optimization,
    "network": Network,
    "data": Data,
    "sampling": Sampling,
    "validation": Validation,
    "saving": Saving,
}
MAIN = (
    "optimization.steps",
    "optimization.batch",
    "optimization.learning_rate",
    "network.rank",
    "data.resolution_px",
    "sampling.every_steps",
    "saving.every_steps",
)
MEMORY = (
    "optimization.gradient_checkpointing",
    "optimization.precision",
    "optimization.base_storage",
    "optimization.offloads_blocks",
    "optimization.memory_limit_gb",
)
GROUPS = (
    ("network", "LoRA", "Its size, the layers it attaches to, and what differs by block."),
    ("optimization", "Optimization", "Rates, schedule, loss and noise."),
    ("data", "Images and captions", "How images and captions reach the trainer."),
    ("memory", "Memory", "What makes a run fit a smaller card, the cheapest first."),
    ("sampling", "Samples", "The images drawn during training."),
    ("validation", "Held-out loss", "The loss on images that never train, which tells learning from copying."),
    ("saving", "Checkpoints", "When the LoRA is saved, and from how many points training can go on."),
)
"""Key, label and sentence of the groups behind the main controls, in their order."""
BLOCKS, CONTINUES = "network.blocks", "network.continues"
OPTIMIZER = "optimization.optimizer"


@dataclass(frozen=True)
class Field:
    """One control of the form: dotted spec key, words, bounds, and how its text is read."""

    key: str
    label: str
    help: str
    kind: FieldKind
    choices: tuple[str, ...] = ()
    unit: str = ""
    bounds: str = ""
    is_optional: bool = False

    @property
    def is_main(self) -> bool:
        """Whether everybody sees it."""
        return self.key in MAIN

    @property
    def group(self) -> str:
        """The group it stands in when it is not a main control."""
        return "memory" if self.key in MEMORY else self.key.partition(".")[0]


SPECIAL = (
    Field(
        BLOCKS,
        "Block settings",
        "One block a line: the beginning of its path, its rank (- leaves it, 0 leaves the block alone), and what its "
        "learning rate is multiplied by. Such as: down_blocks.0 4 0.5.",
        "lines",
        is_optional=True,
    ),
    Field(
        CONTINUES,
        "Continue from",
        "Full path of a LoRA file to go on from, ours or another program's, of the rank and layers set here.",
        "text",
        is_optional=True,
    ),
)


def fields() -> tuple[Field, ...]:
    """Every control, main ones first in their order."""
    found = [_field(key, info) for key, info in leaves()]
    order = {key: place for place, key in enumerate((*MAIN, *MEMORY))}
    return (*sorted(found, key=lambda field: order.get(field.key, len(order))), *SPECIAL)


def leaves() -> Iterable[tuple[str, FieldInfo]]:
    """Every setting with a title, by its dotted key."""
    for group, model in MODELS.items():
        for name, info in model.model_fields.items():
            if info.title:
                yield f"{group}.{name}", info


def _field(key: str, info: FieldInfo) -> Field:
    annotation = info.annotation
    choices = tuple(str(choice) for choice in get_args(annotation)) if get_origin(annotation) is Literal else ()
    return Field(
        key=key,
        label=info.title or key,
        help=f"{info.description or ''} {_not_installed() if key == OPTIMIZER else ''}".strip(),
        kind="choice" if choices else _kind(annotation),
        choices=choices,
        unit=_unit(key),
        bounds=bounds_of(info),
        is_optional=type(None) in get_args(annotation),
    )


def _not_installed() -> str:
    absent = [key for key in get_args(Optimizer) if missing_package(key)]
    told = ", ".join(f"{key} (pip install {missing_package(key)})" for key in absent)
    return f"Not installed here: {told}." if told else ""


def _unit(key: str) -> str:
    ends = {"_px": "px", "every_steps": "steps", "warmup_steps": "steps", "_gb": "GB"}
    return next((unit for end, unit in ends.items() if key.endswith(end)), "")


def _kind(annotation: Any) -> FieldKind:
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    kinds: dict[Any, FieldKind] = {bool: "bool", int: "int", float: "float"}
    return kinds.get(annotation, "text")


def bounds_of(info: FieldInfo) -> str:
    """Say in words what a number may be; empty for what has no bounds."""
    low, high, step = "", "", ""
    for rule in info.metadata:
        match rule:
            case Ge(ge=value):
                low = f"from {_number(value)}"
            case Gt(gt=value):
                low = f"more than {_number(value)}"
            case Le(le=value):
                high = f" to {_number(value)}" if low.startswith("from") else f", at most {_number(value)}"
            case Lt(lt=value):
                high = f" to less than {_number(value)}"
            case MultipleOf(multiple_of=value):
                step = f"in steps of {_number(value)}"
            case _:
                continue
    words = ", ".join(part for part in (f"{low}{high}", step) if part)
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
