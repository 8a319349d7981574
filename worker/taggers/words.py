"""The words that go to a captioning model and come back: the prompt filled in, the answer made a caption or refused."""

import re
from pathlib import PurePath

from app.contract.captions import tags
from app.contract.rundir import DatasetRow
from app.contract.suggestions import Answer, tag_key
from worker.taggers.base import Said

THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
REFUSAL = re.compile(
    r"^\W*(?:i['’]?m (?:so )?sorry|i am (?:so )?sorry|sorry|i (?:can(?:no|['’])t|can not|won['’]?t|am unable|"
    r"am not able|do not see|don['’]t see|must decline)|i['’]?m (?:unable|not able)|as an ai\b|unfortunately,? i\b|"
    r"(?:there is )?no image\b|please (?:provide|upload)\b)",
    re.IGNORECASE,
)
LABEL = re.compile(r"^(?:\*\*)?(?:caption|description|answer)(?:\*\*)?\s*:\s*(?:\*\*)?", re.IGNORECASE)
QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("`", "`"))
SURENESS = 1.0
"""Confidence of a caption: its model gives none."""


def filled(prompt: str, row: DatasetRow, trigger_word: str) -> str:
    """Return the prompt with {trigger}, {tags} and {name} filled in; any other braces stay as they are."""
    values = {"trigger": trigger_word, "tags": ", ".join(tags(row.caption)), "name": PurePath(row.name).stem}
    return re.sub(r"\{(trigger|tags|name)\}", lambda found: values[found[1]], prompt)


def heard(text: str, trigger_word: str, *, was_cut: bool = False) -> Said:
    """Make a caption of a model's answer; an empty one, a refusal and the bare trigger word become a note."""
    words = " ".join(LABEL.sub("", THOUGHTS.sub("", text).strip()).split())
    for opening, closing in QUOTES:
        if len(words) > 1 and words.startswith(opening) and words.endswith(closing):
            words = words[1:-1].strip()
    if was_cut:
        words = whole_sentences(words)
    if not words:
        return Said(note="The model gave no answer.")
    if REFUSAL.match(words):
        return Said(note=f"The model refused: {words[:120]}")
    if trigger_word and tag_key(words.strip(".,;:! ")) == tag_key(trigger_word):
        return Said(note="The model said nothing but the trigger word.")
    return Said((Answer(kind="caption", text=words, confidence=SURENESS),))


def whole_sentences(words: str) -> str:
    """Return an answer that was cut off up to its last whole sentence, if it has one."""
    ends = [found.end() for found in re.finditer(r"[.!?](?=\s|$)", words)]
    return words[: ends[-1]] if ends else words
