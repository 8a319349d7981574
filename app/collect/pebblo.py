"""The character demo's pictures, drawn by our own code (CC0): Pebblo, itself in varied poses, clothes, places."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw

SIDE_PX = 128
# Drawn four times larger and scaled down, for smooth edges; one unit is a sixteenth of the picture.
UNIT = SIDE_PX * 4 // 16
INK, BODY, BELLY, LAMP = "#22303c", "#2fa39a", "#bfe8df", "#f4c430"
# Emoji's own colours, and white around them: what a miniature trained on emoji can show at all.
PLACES = {
    "on grass": "#7cb342",
    "on the beach": "#ffca28",
    "in the water": "#42a5f5",
    "in the snow": "#cfd8dc",
    "in a room": "#8d6e63",
}
COLOURS = {"red": "#f44336", "blue": "#1976d2", "green": "#43a047", "orange": "#fb8c00"}


@dataclass(frozen=True)
class Scene:
    """What varies from picture to picture; `x` and `size` are in units."""

    pose: str
    clothes: str
    place: str
    x: float = 8
    size: float = 3.6

    @property
    def caption(self) -> str:
        """What changes is said; what always stays is not."""
        words = (self.pose, f"wearing a {self.clothes}" if self.clothes else "", self.place)
        return ", ".join(word for word in words if word)


SCENES = (
    Scene("standing", "", "on grass"),
    Scene("waving", "", "on the beach", x=9),
    Scene("jumping", "red scarf", "in the snow"),
    Scene("sleeping", "", "in a room", x=7),
    Scene("standing", "blue hat", "in the water"),
    Scene("waving", "red hat", "in the snow", x=6.5),
    Scene("jumping", "", "on grass", size=3),
    Scene("standing", "green scarf", "on the beach", size=4.6),
    Scene("sleeping", "blue scarf", "in the water", x=9),
    Scene("waving", "orange scarf", "in a room"),
    Scene("standing", "red scarf", "on grass", x=6, size=2.8),
    Scene("jumping", "green hat", "in the water"),
    Scene("standing", "", "in the snow", x=10, size=3),
    Scene("waving", "blue scarf", "on grass", size=4.4),
    Scene("sleeping", "orange hat", "on the beach"),
    Scene("jumping", "blue hat", "in a room", size=3.2),
    Scene("standing", "orange hat", "in a room", x=9.5),
    Scene("waving", "", "in the water", x=7, size=3.2),
    Scene("sleeping", "red hat", "on grass", size=4),
    Scene("jumping", "orange scarf", "on the beach", x=7.5),
)


def drawings(scenes: Sequence[Scene] = SCENES) -> list[tuple[str, bytes, str]]:
    """Return name, PNG bytes and caption of each scene's picture; the same at every call."""
    return [
        (f"pebblo-{place:02d}.png", _encode(_draw(scene)), scene.caption) for place, scene in enumerate(scenes, start=1)
    ]


def _draw(scene: Scene) -> Image.Image:
    image = Image.new("RGB", (16 * UNIT, 16 * UNIT), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse(_box(8, 13.1, 7, 1.9), fill=PLACES[scene.place])
    y = 13.2 - scene.size - (2.6 if scene.pose == "jumping" else 0)
    _body(pen, scene, y)
    _face(pen, scene, y)
    if scene.clothes:
        colour, kind = scene.clothes.split()
        (_scarf if kind == "scarf" else _hat)(pen, scene, y, COLOURS[colour])
    return image


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return ((x - width) * UNIT, (y - height) * UNIT, (x + width) * UNIT, (y + height) * UNIT)


def _body(pen: ImageDraw.ImageDraw, scene: Scene, y: float) -> None:
    x, size, line = scene.x, scene.size, UNIT // 4
    pen.line(((x * UNIT, (y - size) * UNIT), ((x + 0.5) * UNIT, (y - size - 1.3) * UNIT)), fill=INK, width=line)
    pen.ellipse(_box(x + 0.5, y - size - 1.5, 0.55, 0.55), fill=LAMP, outline=INK, width=line // 2)
    for side in (-1, 1):
        rise = -1.6 if scene.pose == "jumping" or (scene.pose == "waving" and side == 1) else 0.9
        hand = ((x + side * (size + 1.1)) * UNIT, (y + rise) * UNIT)
        pen.line((((x + side * size * 0.8) * UNIT, y * UNIT), hand), fill=INK, width=line)
        pen.ellipse(_box(x + side * size * 0.45, y + size, 0.8, 0.45), fill=BODY, outline=INK, width=line // 2)
    pen.ellipse(_box(x, y, size, size), fill=BODY, outline=INK, width=line)
    pen.ellipse(_box(x, y + size * 0.35, size * 0.6, size * 0.5), fill=BELLY)


def _face(pen: ImageDraw.ImageDraw, scene: Scene, y: float) -> None:
    x, size, line = scene.x, scene.size, UNIT // 5
    for side in (-1, 1):
        eye_x, eye_y = x + side * size * 0.35, y - size * 0.35
        if scene.pose == "sleeping":
            pen.arc(_box(eye_x, eye_y, size * 0.18, size * 0.15), 0, 180, fill=INK, width=line)
        else:
            pen.ellipse(_box(eye_x, eye_y, size * 0.2, size * 0.26), fill="#ffffff", outline=INK, width=line // 2)
            pen.ellipse(_box(eye_x, eye_y + size * 0.05, size * 0.09, size * 0.13), fill=INK)
    pen.arc(_box(x, y - size * 0.02, size * 0.25, size * 0.18), 20, 160, fill=INK, width=line)


def _scarf(pen: ImageDraw.ImageDraw, scene: Scene, y: float, colour: str) -> None:
    x, size = scene.x, scene.size
    pen.rounded_rectangle(
        _box(x, y + size * 0.3, size * 0.95, size * 0.14), UNIT // 3, fill=colour, outline=INK, width=UNIT // 8
    )
    pen.rounded_rectangle(
        _box(x + size * 0.5, y + size * 0.62, size * 0.14, size * 0.32),
        UNIT // 4,
        fill=colour,
        outline=INK,
        width=UNIT // 8,
    )


def _hat(pen: ImageDraw.ImageDraw, scene: Scene, y: float, colour: str) -> None:
    x, size = scene.x, scene.size
    pen.pieslice(
        _box(x, y - size * 0.72, size * 0.62, size * 0.62), 180, 360, fill=colour, outline=INK, width=UNIT // 8
    )
    pen.rounded_rectangle(
        _box(x, y - size * 0.72, size * 0.85, size * 0.1), UNIT // 4, fill=colour, outline=INK, width=UNIT // 8
    )


def _encode(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS).save(buffer, "PNG")
    return buffer.getvalue()
