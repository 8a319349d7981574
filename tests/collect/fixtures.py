"""The fixture pack: pictures, captions, names and archives as they really come, each with what must become of it.

Which test asserts it: R1 to R21 are the inputs that break tools for datasets, 1 to 17 those that break trainers.

- R1, 1    EXIF turn          collect/test_gate.py::test_an_exif_turn_is_baked_into_size_pixels_and_copies
- R1, 1    ... in an export   export/test_datasets.py::test_the_recipe_is_baked
- R1, 1    ... in the trainer contract/test_pixels.py::test_every_exif_orientation_comes_upright
- R1-R6, 1-4 all agree      worker/test_same_pixels.py::test_preview_export_tagger_and_trainer_agree
- R2, 2    hidden colour      collect/test_gate.py::test_what_is_hidden_under_nothing_never_shows
- R2, 2    ... in the trainer contract/test_pixels.py::test_colours_hidden_under_transparency_never_show
- R2, 2    ... asked once     routes/test_images.py::test_transparency_is_asked_about_once
- R3, 4    palette hole       contract/test_pixels.py::test_a_palette_with_a_transparent_colour
- 4        grey and alpha     collect/test_gate.py::test_grey_with_alpha_is_laid_over_the_ground
- R4, 3    16 bits            collect/test_gate.py::test_sixteen_bits_are_scaled_and_not_cut
- R5, 4    inks               collect/test_gate.py::test_inks_are_not_inverted
- R6, 4    films              collect/test_gate.py::test_of_a_film_the_first_frame_is_taken_and_all_are_counted
- R6       every frame        collect/test_films.py::test_every_frame_comes_in_with_its_pixels
- R6       ... disposals      collect/test_frames.py::test_every_disposal_of_a_gif_is_kept
- R6       ... blends         collect/test_frames.py::test_disposals_and_blends_of_an_apng_are_kept
- R6, 5    ... cut off        collect/test_frames.py::test_of_a_cut_film_whole_frames_come_and_the_cut_one_is_named
- R6       ... badge, button  routes/test_frames.py::test_an_animation_says_how_many_frames_it_has_and_leads_to_them
- R7, 5, 6 bad files          collect/test_gate.py::test_bad_files_are_named_with_code_reason_and_way_out
- R7       ... among others   collect/test_jobs.py::test_bad_files_are_rows_and_the_others_come_in
- R7       JPEG called PNG    collect/test_gate.py::test_a_jpeg_that_is_called_png_is_taken_as_what_it_is
- R7, 6    lying names        collect/test_gate.py::test_a_name_that_lies_is_noted_and_not_held_against_it
- 6        endings            collect/test_gate.py::test_names_of_jpegs_do_not_lie
- 6        formats            collect/test_gate.py::test_every_format_is_told_by_its_bytes
- R8, 11   bombs              collect/test_decoders.py::test_a_bomb_stays_in_the_child
- 6        AVIF, HEIC, JXL    contract/test_extra_formats.py::test_every_process_that_opens_originals_looks_for_decoders
- R8       very large         collect/test_odd_cases.py::test_a_hundred_million_pixels_are_warned_of
- R9       hostile zip        collect/test_archives.py::test_a_hostile_archive_harms_nothing
- R9       UTF-8 unsaid       collect/test_archives.py::test_a_name_without_the_flag_is_read_as_utf8
- R9       cp437              collect/test_odd_cases.py::test_an_archive_of_an_old_program_keeps_its_names
- R10, 8   encodings          collect/test_sidecars.py::test_encodings_are_told_by_their_bytes
- R10, 8   bytes kept         collect/test_jobs.py::test_caption_bytes_encodings_and_origins_are_kept
- R10, 8   ... any bytes      collect/test_sidecars.py::test_bytes_are_kept_and_text_is_never_replaced
- R10      NUL                collect/test_sidecars.py::test_what_is_no_caption_is_refused
- R10, 8   in the report      collect/test_jobs.py::test_captions_that_say_nothing_or_are_no_text_are_told
- R10      escaped            routes/test_captions.py::test_what_people_write_never_becomes_markup
- 8        as it trains       contract/test_captions.py::test_what_a_caption_trains_as
- 8        cut at 75          label/test_tokens.py::test_a_break_stands_where_the_next_chunk_begins
- R11      odd names          collect/test_layouts.py::test_odd_names_keep_their_own_captions
- R11      ... in the store   collect/test_jobs.py::test_odd_names_never_collide
- R11      begin alike        collect/test_odd_cases.py::test_names_that_only_begin_alike_or_end_oddly
- R11      a.png.txt, a.txt   collect/test_jobs.py::test_a_caption_by_full_name_stands_before_one_by_stem
- R11, 7   one caption of two collect/test_layouts.py::test_one_caption_of_two_pictures_is_both_and_said
- 7, 10    caches             worker/test_cache.py::test_nothing_stale_is_ever_used_and_two_files_never_share
- R11      -masklabel         collect/test_layouts.py::test_onetrainer_concepts_and_masks
- 9        odd folders        collect/test_odd_cases.py::test_odd_folders_come_in_with_their_captions
- 9        kohya folders      collect/test_layouts.py::test_kohya_folders_give_repeats
- R12      20,000             bench/test_collect.py::test_twenty_thousand_come_in_while_pages_answer
- R13      likeness           collect/test_gate.py::test_likeness_is_seen_through_size_quality_and_mirror
- R13      pairs              collect/test_duplicates.py::test_scales_qualities_and_mirrors_are_found_and_nothing_else
- R13      recolour           collect/test_odd_cases.py::test_another_costume_is_a_pair_to_look_at_and_not_the_same_file
- R14      flat art           collect/test_odd_cases.py::test_pixel_art_and_vector_art_are_not_called_blurred
- R15      fast paging        browser/test_label.py::test_fast_paging_puts_no_words_on_a_wrong_image
- R16      two tabs           browser/test_label.py::test_two_tabs_on_one_image_merge
- R17      another program    collect/test_odd_cases.py::test_a_caption_that_another_program_changed_replaces_no_words
- R18      full disk          routes/test_broken.py::test_a_full_disk_loses_no_words_of_a_caption
- R19      kohya JSON         collect/test_layouts.py::test_kohya_fine_tune_json_with_tags_as_text_or_list
- R19      JSONL              collect/test_layouts.py::test_jsonl_by_line
- R20      CSV                collect/test_layouts.py::test_hugging_face_csv_with_quotes_folders_and_provenance
- R21      tag lists          label/test_completion.py::test_odd_lists_are_read_as_far_as_they_make_sense
- R21      three columns      label/test_completion.py::test_a_list_of_three_columns_with_header_and_doubles
- 11       odd sizes          collect/test_gate.py::test_odd_sizes_come_in
- 11       few for a batch    polish/test_histogram.py::test_doubts_are_counted_and_named
- 11       ... as it trains   worker/test_data.py::test_batches_are_as_many_as_the_plan_says
- 17       what lies about    collect/test_layouts.py::test_what_lies_about_is_passed_over
"""

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

from app.contract.extra_formats import missing_for

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
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def huge_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_other(data: bytes, part: bytes, other: bytes) -> bytes:
    """The bytes with another part in the place of the last one, which must be there."""
    assert part in data
    before, _, behind = data.rpartition(part)
    return before + other + behind


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
    compression = struct.pack("<HHI", 259, 3, 1) + b"%s\0"
    found = [
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
        Bad("game.png", b"DDS " + struct.pack("<IIII", 124, 4103, 16, 16) + bytes(200), "F01", "damaged"),
        Bad("odd.avif", with_other(encoded(noise(1), "AVIF"), b"iloc", b"none"), "F01", "damaged"),
        Bad("odd.tif", with_other(film("TIFF"), compression % b"\1", compression % b"\xf8"), "F01", "damaged"),
        Bad("bomb-20000.png", bomb(20_000), "F07", "pixels"),
        Bad("bomb-12000.png", bomb(12_000), "F07", "million"),
        Bad("header-30000.png", huge_header(30_000, 30_000), "F07", "pixels"),
        Bad("line.png", huge_header(90_000, 10), "F07", "side"),
    ]
    # Where an extra decoder is installed it has other words for what is none of its pictures.
    return [bad for bad in found if not bad.words.startswith("pillow-") or missing_for(bad.data)]


CAPTIONS: dict[str, bytes] = {
    "bom": "\ufeffsks, café".encode(),
    "utf16": "sks, 猫".encode("utf-16"),
    "gbk": "一只黑色的猫坐在椅子上，窗户".encode("gb18030"),
    "sjis": "黒い猫が椅子に座っている、窓".encode("cp932"),
    "latin": "café crème".encode("cp1252"),
    "empty": b"",
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
