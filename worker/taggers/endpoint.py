"""A captioning model that another program serves here through an OpenAI-compatible interface."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import Image

from app.contract.endpoint import Endpoint, EndpointError, read_endpoint
from app.contract.spec import TagSpec
from worker.errors import ModelMissing, WorkerError
from worker.taggers.base import Said, View
from worker.taggers.words import filled, heard

LONGEST_SIDE_PX = 1024
JPEG_QUALITY = 90
MOST_FAILURES = 5


class EndpointTagger:
    """Asks for one image at a time; gives up when nothing would change, or after several failures in a row."""

    def __init__(self, spec: TagSpec) -> None:
        """Make sure that the endpoint answers. Raises ModelMissing."""
        self._spec = spec
        self._failures = 0
        try:
            self._endpoint: Endpoint = read_endpoint(spec.address)
        except EndpointError as error:
            raise ModelMissing(error.message, error.hint) from error

    @property
    def batch(self) -> int:
        """One image a request."""
        return 1

    def look(self, views: Sequence[View]) -> list[Said]:
        """Ask about each image. Raises WorkerError when the endpoint is gone or refuses."""
        return [self._look(view) for view in views]

    def _look(self, view: View) -> Said:
        prompt = filled(self._spec.prompt, view.row, self._spec.trigger_word)
        try:
            told = self._endpoint.ask("POST", "/chat/completions", self._question(prompt, view), self._spec.timeout_s)
        except EndpointError as error:
            self._failures += 1
            if error.is_lasting or self._failures >= MOST_FAILURES:
                raise WorkerError(error.message, error.hint) from error
            return Said(note=error.message)
        self._failures = 0
        text, was_cut = answer_in(told)
        return heard(text, self._spec.trigger_word, was_cut=was_cut)

    def _question(self, prompt: str, view: View) -> dict[str, object]:
        content = [
            {"type": "text", "text": prompt},
            {"type": "image_url", "image_url": {"url": data_url(view.picture)}},
        ]
        return {
            "model": self._spec.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self._spec.max_tokens,
            "temperature": 0,
            "stream": False,
        }


def data_url(picture: Image.Image) -> str:
    """Return the picture as a JPEG of at most 1024 px inside an address."""
    small = picture.copy()
    small.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def answer_in(told: dict[str, Any]) -> tuple[str, bool]:
    """Return the text of an answer, '' where there is none, and whether it was cut at its longest."""
    choices = told.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    message = choice.get("message") if isinstance(choice, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        content = " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    was_cut = isinstance(choice, dict) and choice.get("finish_reason") == "length"
    return content if isinstance(content, str) else "", was_cut
