"""The words of an image as they leave, and what the four kinds of trainer make of such a file."""

from app.contract.captions import has_trigger
from app.export.layout import Item, Options, Reading

BYTE_ORDER_MARK = "\ufeff"
NOT_UTF8 = "It is not UTF-8, so the run ends with an error. Write the captions as UTF-8."


def leaving(item: Item, options: Options) -> bytes | None:
    """Return the bytes of an item's caption file, None without a caption.

    They are the bytes that came in unless somebody edited the words or the options ask for others.
    """
    text = item.row.caption
    if text is None:
        return None
    kept = kept_bytes(item)
    led = lead(text, options.trigger_word) if options.leads_with_trigger else text
    if led == text and kept is not None and not options.as_utf8:
        return kept
    if options.as_utf8:
        led = led.replace("\r\n", "\n").removeprefix(BYTE_ORDER_MARK)
    return led.encode()


def kept_bytes(item: Item) -> bytes | None:
    """Return the bytes that the caption came as, None when they no longer say what it says."""
    if item.raw is None or item.row.caption is None:
        return None
    try:
        came = item.raw.decode(item.encoding)
    except (UnicodeDecodeError, LookupError):
        return None
    return item.raw if _plain(came) == _plain(item.row.caption) else None


def _plain(text: str) -> str:
    return text.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n").strip()


def lead(text: str, trigger_word: str) -> str:
    """Put the trigger word before every line that lacks it."""
    if not trigger_word:
        return text
    lines = text.split("\n")
    if not any(line.strip() for line in lines):
        return trigger_word
    return "\n".join(
        f"{trigger_word}, {line}" if line.strip() and not has_trigger(line, trigger_word) else line for line in lines
    )


def decoded(data: bytes) -> str | None:
    """Read a file as UTF-8 with any line ends, as a program does that opens it as text; None when it is not."""
    try:
        return data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return None


def kohya_reads(data: bytes | None, options: Options) -> Reading:
    """Kohya's sd-scripts: strict UTF-8, the first line alone, the class words where there is no file."""
    if data is None:
        return Reading((options.trigger_word,), "" if options.trigger_word else "It has no words at all.")
    if not data:
        return Reading((), "It is empty (0 bytes), so the run ends with an error.", is_fatal=True)
    text = decoded(data)
    if text is None:
        return Reading((), NOT_UTF8, is_fatal=True)
    problem = "The byte order mark sticks to the first word." if text.startswith(BYTE_ORDER_MARK) else ""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if options.reads_all_lines:
        return Reading(tuple(line.replace("{{", "{").replace("}}", "}") for line in lines) or ("",), problem)
    first = text.split("\n")[0].strip()
    if len(lines) > 1 or (lines and first != lines[0]):
        problem = problem or "Only the first line is read."
    return Reading((first,), problem)


def onetrainer_reads(data: bytes | None, options: Options) -> Reading:
    """OneTrainer: one line is drawn at random for each step."""
    if data is None:
        return Reading(("",), "It has no caption file.")
    text = decoded(data)
    if text is None:
        return Reading((), NOT_UTF8, is_fatal=True)
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    problem = "The byte order mark sticks to the first word." if text.startswith(BYTE_ORDER_MARK) else ""
    return Reading(lines or ("",), problem)


def ai_toolkit_reads(data: bytes | None, options: Options) -> Reading:
    """ai-toolkit: the whole file, the trigger word before it with a space unless it is in there, commas re-joined."""
    text = decoded(data) if data is not None else ""
    if text is None:
        return Reading((), NOT_UTF8, is_fatal=True)
    whole = text.strip()
    if options.trigger_word:
        whole = whole.replace("[trigger]", options.trigger_word)
        if options.trigger_word not in whole:
            whole = f"{options.trigger_word} {whole}".strip()
    joined = ", ".join(whole.split(","))
    problem = "The byte order mark sticks to the first word." if whole.startswith(BYTE_ORDER_MARK) else ""
    return Reading((joined,), problem or ("It has no caption file." if data is None else ""))


def whole_file_reads(data: bytes | None, options: Options) -> Reading:
    """Whatever reads the file whole."""
    if data is None:
        return Reading((), "It has no caption.")
    text = decoded(data)
    return Reading((text,)) if text is not None else Reading((), "It is not UTF-8.")
