"""The fixture pack: pictures, captions, names and archives as they really come, each with what must become of it."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

ORIENTATION = 0x0112


def encoded(image: Image.Image, container: str = "PNG", **options: object) -> bytes:
    """A picture as a file's bytes."""
    buffer = BytesIO()
    image.save(buffer, container, **options)
    return buffer.getvalue()


def turned(container: str) -> bytes:
    """64 × 32, left half blue, to be turned a quarter clockwise: upright it is 32 × 64 with blue on top."""
    image = Image.new("RGB", (64, 32), "white")
    image.paste((0, 0, 255), (0, 0, 32, 32))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return encoded(image, container, exif=exif, **({"lossless": True} if container == "WEBP" else {}))


def hidden_colour(mode: str = "RGBA") -> bytes:
    """A green square on nothing; what is hidden under the nothing is magenta."""
    image = Image.new("RGBA", (40, 40), (255, 0, 255, 0))
    image.paste((0, 200, 0, 255), (10, 10, 30, 30))
    return encoded(image if mode == "RGBA" else image.convert(mode))


def palette_with_hole() -> bytes:
    """A palette picture whose colour 0 is transparent."""
    image = Image.new("P", (40, 40), 0)
    image.putpalette([255, 0, 255, 0, 200, 0] + [0] * 762)
    image.paste(1, (10, 10, 30, 30))
    return encoded(image, transparency=0)


def grey_and_alpha() -> bytes:
    """Grey 90 everywhere, transparent on the left half."""
    image = Image.new("LA", (40, 40), (90, 255))
    image.paste((90, 0), (0, 0, 20, 40))
    return encoded(image)


def ramp_16_bit() -> bytes:
    """A 16-bit grey ramp from black to white."""
    ramp = np.tile(np.linspace(0, 65535, 512).astype("uint16"), (8, 1))
    return encoded(Image.fromarray(ramp))


def inks() -> bytes:
    """A CMYK JPEG with Adobe's marker: pure cyan on the left, paper on the right."""
    image = Image.new("CMYK", (64, 32), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (0, 0, 32, 32))
    return encoded(image, "JPEG", quality=95)


def with_profile() -> bytes:
    """A picture whose profile is not sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return encoded(Image.new("RGB", (32, 32), (100, 150, 200)), icc_profile=profile)


def film(container: str) -> bytes:
    """Three frames: red, green, blue."""
    frames = [Image.new("RGB", (48, 48), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if container == "WEBP" else {}
    return encoded(frames[0], container, save_all=True, append_images=frames[1:], duration=100, **options)


def noise(seed: int = 0, width: int = 128, height: int = 96) -> Image.Image:
    """A picture that no other seed gives."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def bomb(side: int) -> bytes:
    """A one-bit PNG of side × side pixels that says all zero; a few kilobytes for hundreds of millions of pixels."""
    row = b"\0" * (1 + (side + 7) // 8)
    squeeze = zlib.compressobj(9)
    body = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def huge_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@dataclass(frozen=True)
class Bad:
    """A file that must be refused, with the code and a word of the reason."""

    name: str
    data: bytes
    code: str
    words: str


def bad_files() -> list[Bad]:
    """Everything that must be named and refused."""
    png, jpeg = encoded(noise(1)), encoded(noise(1), "JPEG")
    return [
        Bad("zero.jpg", b"", "F01", "empty"),
        Bad("half.png", png[: len(png) // 2], "F01", "cut off"),
        Bad("half.jpg", jpeg[: len(jpeg) // 2], "F01", "cut off"),
        Bad("text.png", b"hello there", "F01", "no known image format"),
        Bad("error.jpg", b"<!DOCTYPE html><html><body>404</body></html>", "F01", "web page"),
        Bad("drawing.png", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "F01", "SVG"),
        Bad("paper.png", b"%PDF-1.7", "F01", "PDF"),
        Bad("pack.png", b"PK\x03\x04rest", "F01", "zip"),
        Bad("phone.png", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "F03", "pillow-heif"),
        Bad("next.png", b"\x00\x00\x00\x0cJXL \r\n\x87\n" + b"\x00" * 20, "F03", "pillow-jxl-plugin"),
        Bad("icon.png", encoded(Image.new("RGB", (16, 16)), "ICO"), "F03", "ICO"),
        Bad("bomb-20000.png", bomb(20_000), "F07", "pixels"),
        Bad("bomb-12000.png", bomb(12_000), "F07", "million"),
        Bad("header-30000.png", huge_header(30_000, 30_000), "F07", "pixels"),
        Bad("line.png", huge_header(90_000, 10), "F07", "side"),
    ]


CAPTIONS: dict[str, bytes] = {
    "bom": "\ufeffsks, café".encode(),
    "utf16": "sks, 猫".encode("utf-16"),
    "gbk": "一只黑色的猫坐在椅子上，窗户".encode("gb18030"),
    "sjis": "黒い猫が椅子に座っている、窓".encode("cp932"),
    "latin": "café crème".encode("cp1252"),
    "blank": b"   \n",
    "crlf": b"one\r\ntwo\r\n",
    "lines": b"one\ntwo\nthree",
    "tight": b"a,b,c",
    "trail": b"1girl,,solo,",
    "wide": "a，b、c".encode(),
    "parens": rb"nero_\(fate\), nero_(fate/extra), :3",
    "wild": b"{a|b} x ||| y, sky;;;cloud, [trigger]",
    "long": b"word " * 1000,
    "rtl": "שלום 👩‍👩‍👧 <script>alert(1)</script>".encode(),
}
"""Caption bytes that must be kept exactly, by a name for their picture."""

ODD_NAMES = (
    "猫.png",
    "犬.png",
    "e\u0301.png",
    "\u00e9.png",
    "🐱 1.jpg",
    "trail .png",
    "CON.png",
    "a.b.png",
    "img_1_2_3_4.png",
    "upper.Png",
    "IMG.JPG",
    "hash#%20&[x].png",
)


def write_odd_names(folder: Path) -> dict[str, str]:
    """Write pictures of odd names, each with its own caption; return the caption by name."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {}
    for seed, name in enumerate(ODD_NAMES, 100):
        container = "JPEG" if name.lower().endswith(".jpg") else "PNG"
        (folder / name).write_bytes(encoded(noise(seed), container))
        told[name] = f"caption of {name}"
        (folder / name).with_suffix(".txt").write_text(told[name], "utf-8")
    return told


def hostile_zip(path: Path) -> None:
    """An archive with every trick: ways out, links, doubles, twins, encodings, lies and bombs."""
    pictures = iter(encoded(noise(seed)) for seed in range(200, 300))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("../up.png", "/root.png", "..\\..\\back.png", "C:\\drive.png", "deep/../../../etc/out.png"):
            made.writestr(name, next(pictures))
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
        made.writestr("Twin.png", next(pictures))
        made.writestr("twin.png", next(pictures))
        made.writestr("__MACOSX/._a.png", b"\0\5\x16\7")
        made.writestr("日本/猫.png", next(pictures))
        made.writestr("zeros.bmp", b"\0" * 60_000_000)
        made.writestr("inner.zip", b"PK\x03\x04")
        made.writestr("broken.png", b"nothing")


def unflagged_zip(path: Path, name: str, data: bytes) -> None:
    """An archive whose member has a UTF-8 name without the flag that says so."""
    raw = name.encode("utf-8")
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("?" * len(raw), data)
    path.write_bytes(path.read_bytes().replace(b"?" * len(raw), raw))


def same_picture() -> Iterator[tuple[str, Image.Image]]:
    """One picture at several sizes and qualities, then shifted and mirrored."""
    rng = np.random.default_rng(7)
    base = Image.fromarray((rng.random((12, 16, 3)) * 255).astype("uint8")).resize((640, 480), Image.Resampling.BICUBIC)
    yield "as it is", base
    yield "half", base.resize((320, 240), Image.Resampling.LANCZOS)
    yield "small", base.resize((128, 96), Image.Resampling.LANCZOS)
    with Image.open(BytesIO(encoded(base, "JPEG", quality=40))) as poor:
        yield "poor", poor.copy()
    yield "cropped by 3 px", base.crop((3, 3, 637, 477))


def text_chunk(key: str, text: str) -> PngInfo:
    """A text chunk for a PNG."""
    info = PngInfo()
    info.add_text(key, text)
    return info
