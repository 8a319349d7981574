"""The three purposes a LoRA can have, as data: every page and preset reads its wording and advice from here."""

from dataclasses import dataclass
from typing import Literal

PurposeKey = Literal["style", "character", "concept"]


@dataclass(frozen=True)
class Purpose:
    """One purpose: what it means, how to label for it, and the prompts that test it.

    `prompts` are templates with `{trigger}`; they are drawn at every sample point and judged in the review.
    `miniature_prompts` say it in the few words that a miniature base knows.
    """

    key: PurposeKey
    label: str
    sentence: str
    example: str
    labeling: str
    prompts: tuple[str, ...]
    miniature_prompts: tuple[str, ...]
    trains_text_encoder: bool


PURPOSES: dict[PurposeKey, Purpose] = {
    "style": Purpose(
        key="style",
        label="Style",
        sentence="A way of drawing or photographing, whatever the subject.",
        example="20–100 images by one hand: ink sketches of people, streets and animals.",
        labeling="Describe what is in each image and leave the style itself unsaid, "
        "so that the trigger word comes to mean the style.",
        prompts=(
            "{trigger}, a cat sitting on a chair",
            "{trigger}, portrait of a woman",
            "{trigger}, a house by a lake",
            "{trigger}, a red bicycle",
        ),
        miniature_prompts=(
            "{trigger}, rabbit, animal, nature",
            "{trigger}, strawberry, fruit, food",
            "{trigger}, old man, human",
            "{trigger}, fire engine, transportation",
        ),
        trains_text_encoder=False,
    ),
    "character": Purpose(
        key="character",
        label="Character",
        sentence="One person, creature or figure that stays itself in every scene.",
        example="15–50 images of one fox in a blue scarf: near, far, front, side, varied places.",
        labeling="Name what changes (pose, clothes, place) and leave out what always stays, "
        "so that the trigger word carries the identity.",
        prompts=(
            "{trigger}, portrait, looking at the viewer",
            "{trigger}, full body, walking in a park",
            "{trigger}, wearing a yellow raincoat",
            "{trigger}, from behind, at night in a city",
        ),
        miniature_prompts=(
            "{trigger}, standing, on grass",
            "{trigger}, waving, wearing a blue hat, in the snow",
            "{trigger}, jumping, wearing a red scarf, in the water",
            "{trigger}, sleeping, on the beach",
        ),
        trains_text_encoder=True,
    ),
    "concept": Purpose(
        key="concept",
        label="Concept",
        sentence="A thing, pose, outfit or idea the base model does not know.",
        example="20–60 images of one kind of paper lantern, in many rooms and lights.",
        labeling="Describe everything around the concept and name the concept only by its trigger word.",
        prompts=(
            "{trigger}, on a wooden table",
            "{trigger}, outdoors in the snow",
            "a child holding {trigger}",
            "{trigger}, close-up",
        ),
        miniature_prompts=(
            "{trigger}",
            "{trigger}, red",
            "{trigger}, animal, nature",
            "{trigger}, building, house",
        ),
        trains_text_encoder=True,
    ),
}
