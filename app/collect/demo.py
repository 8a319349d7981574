"""A demo dataset drawn by our own code: a round paper figure in several colours and places, with captions."""

from io import BytesIO
from itertools import product
from random import Random

from PIL import Image, ImageDraw

SIDE_PX = 128
TRIGGER_WORD = "pebblo"
COLOURS = {"red": "#d9483b", "blue": "#3f6fd1", "green": "#4c9f5b", "yellow": "#e7b83a"}
PLACES = {
    "on grass": ("#bfe0ef", "#7fb069"),
    "on sand": ("#f3e6c8", "#d9b36c"),
    "at night": ("#1f2544", "#39406b"),
}


def drawings() -> list[tuple[str, bytes, str]]:
    """Return name, PNG bytes and caption of twelve pictures; the same at every call."""
    scenes = product(COLOURS, PLACES)
    return [
        (f"pebblo-{place:02d}.png", _draw(colour, ground, place), f"{TRIGGER_WORD}, {colour} body, {ground}")
        for place, (colour, ground) in enumerate(scenes, start=1)
    ]


def _draw(colour: str, ground: str, seed: int) -> bytes:
    random = Random(seed)
    sky, floor = PLACES[ground]
    image = Image.new("RGB", (SIDE_PX * 4, SIDE_PX * 4), sky)
    pen = ImageDraw.Draw(image)
    unit = SIDE_PX * 4 // 16
    pen.rectangle((0, 11 * unit, 16 * unit, 16 * unit), fill=floor)
    x, y, radius = random.randint(6, 10) * unit, random.randint(8, 9) * unit, random.randint(4, 5) * unit
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=COLOURS[colour], outline="#222222", width=8)
    for side in (-1, 1):
        eye_x, eye_y = x + side * radius // 3, y - radius // 4
        pen.ellipse(
            (eye_x - unit // 2, eye_y - unit, eye_x + unit // 2, eye_y),
            fill="#ffffff",
            outline="#222222",
            width=4,
        )
        pen.ellipse((eye_x - unit // 5, eye_y - unit // 2, eye_x + unit // 5, eye_y - unit // 8), fill="#222222")
    pen.arc((x - radius // 3, y, x + radius // 3, y + radius // 2), 10, 170, fill="#222222", width=8)
    image = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
