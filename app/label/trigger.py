"""The trigger word: a made-up word from a project's name, and what speaks against a word."""

import re
import unicodedata

from app.errors import Invalid

MAX_LENGTH = 40
SUGGESTED_LENGTH = 6
SHORTEST = 3
# Words that people reach for first; a model has learned each of them from millions of pictures.
ORDINARY = """
a abstract air alien an and angry animal anime apple art artist artwork at autumn baby bad bag beach bear beautiful
bicycle big bike bird black blue boat book bottle boy bread bright brown cake car cars cartoon castle cat cats chair
character child cinematic city cloth cloud coat coffee color colour comic concept cow creature cup cute dark day
design doctor dog dogs doll dragon draw drawing dress earth evening face fantasy figure film fire fish flower
flowers food forest fox fruit garden ghost girl glass gold good gray green grey guy happy hat hero home horse house
human icon idea image in ink kid king kitchen kitten knight lady lake lamp lantern light lion logo lora man manga me
men metal minimal model modern monster moon morning mountain mouse movie my new night ninja object ocean of oil old
on orange outfit paint painting paper park pattern pencil people person pet photo photograph photography picture pig
pink pirate pixel plane portrait pose pretty prince princess puppy purple queen rabbit rain rat realistic red retro
river robot room sad scarf sea self sheep ship shirt shoe shoes short silver sketch sky small smile snow soldier
spring star stars stone street style summer sun table tall tea teacher test texture the thing tiger town toy train
tree trees trigger truck ugly village vintage warrior water watercolor watercolour white winter witch with wizard
wolf woman women wood word yellow young
"""
ORDINARY_WORDS = frozenset(ORDINARY.split())


def read_trigger(text: str) -> str:
    """Return the trigger word as it is kept. Raises Invalid for a comma, a line break or too many letters."""
    word = " ".join(text.split())
    if "," in word:
        raise Invalid(
            "A trigger word cannot hold a comma, which would make two tags of it.", "Leave it out.", "trigger_word"
        )
    if len(word) > MAX_LENGTH:
        raise Invalid(
            f"This is {len(word)} letters long; a trigger word has at most {MAX_LENGTH}.",
            "One short made-up word works best.",
            "trigger_word",
        )
    return word


def suggest_trigger(name: str) -> str:
    """Make a word that no model knows out of a project's name: its letters without most vowels; '' without letters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    letters = "".join(re.findall(r"[a-z]+", plain))
    if not letters:
        return ""
    word = letters[0] + re.sub(r"[aeiou]", "", letters[1:])
    # Doubled letters are easy to mistype.
    word = re.sub(r"(.)\1+", r"\1", word)[:SUGGESTED_LENGTH]
    while len(word) < SHORTEST or word in ORDINARY_WORDS:
        word += "qx"
    return word


def doubt_trigger(word: str) -> str:
    """Say why a word will make a poor trigger word; '' when nothing speaks against it."""
    if not word:
        return ""
    if word.casefold() in ORDINARY_WORDS:
        return (
            f"“{word}” is an ordinary word: the base model knows it already, and the LoRA has to fight that meaning. "
            "Choose a made-up word."
        )
    if all(part in ORDINARY_WORDS for part in word.casefold().split()):
        return f"“{word}” is made of ordinary words that the base model knows. Choose one made-up word."
    return ""
