"""The prompt that a generator left inside a picture: A1111's text, ComfyUI's graph."""

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_PROMPT = 20_000
A1111_END = re.compile(r"^(Negative prompt:|Steps: \d)", re.MULTILINE)
TEXT_NODES = ("CLIPTextEncode", "CLIPTextEncodeSDXL", "CLIPTextEncodeFlux")


def embedded_prompt(info: Mapping[Any, object]) -> str:
    """Return the positive prompt of a picture's text chunks, or nothing."""
    parameters, graph = info.get("parameters"), info.get("prompt")
    if isinstance(parameters, str) and A1111_END.search(parameters):
        found = A1111_END.split(parameters, maxsplit=1)[0].strip()
    elif isinstance(graph, str):
        found = _of_graph(graph)
    else:
        found = ""
    return found.replace("\x00", "")[:MAX_PROMPT]


def _of_graph(text: str) -> str:
    """The text that flows into the first sampler's positive input; else the longest text of the graph."""
    try:
        graph = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(graph, dict):
        return ""
    nodes = {str(key): node for key, node in graph.items() if isinstance(node, dict)}
    for node in nodes.values():
        inputs = node.get("inputs")
        if isinstance(inputs, dict) and "positive" in inputs and (found := _followed(nodes, inputs["positive"])):
            return found
    texts = [_text(node) for node in nodes.values() if node.get("class_type") in TEXT_NODES]
    return max(texts, key=len, default="")


def _followed(nodes: Mapping[str, dict[str, object]], link: object) -> str:
    """Walk back along `positive` or `conditioning` links to a node with text."""
    for _ in range(20):
        node = nodes.get(str(link[0])) if isinstance(link, list) and link else None
        if node is None:
            return ""
        if found := _text(node):
            return found
        inputs = node.get("inputs")
        inputs = inputs if isinstance(inputs, dict) else {}
        link = next(
            (inputs[key] for key in ("positive", "conditioning", "conditioning_1", "text") if key in inputs), None
        )
    return ""


def _text(node: Mapping[str, object]) -> str:
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        return ""
    for key in ("text", "text_g", "t5xxl", "string", "value"):
        if isinstance(inputs.get(key), str) and inputs[key].strip():
            return str(inputs[key]).strip()
    return ""
