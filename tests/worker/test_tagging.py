"""Tag runs: what each kind of model says of an image, and that one bad image or a death loses nothing."""

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from app.contract.buckets import Size
from app.contract.events import EventLog, PhaseChanged, Warned, read_events
from app.contract.recipe import Crop, Recipe
from app.contract.rundir import DatasetRow, RunDir, publish
from app.contract.spec import TagSpec
from app.contract.suggestions import DOUBT, Looked, book_path, read_book
from tests.worker.chat_server import Reply, chat_server, said
from tests.worker.tiny_taggers import make_blip, make_wd, rename_architecture
from worker.context import RunContext
from worker.errors import EmptyDataset, Interrupted, ModelMissing, Stopped, WorkerError
from worker.tagging import tag

RED, BLUE = (255, 0, 0), (0, 0, 255)


def row_of(path: Path, caption: str = "", recipe: Recipe | None = None) -> DatasetRow:
    return DatasetRow(
        sha256=path.name.encode().hex().ljust(64, "0")[:64],
        path=str(path),
        name=path.name,
        size=Size(64, 64),
        bucket=Size(64, 64),
        caption=caption,
        text=caption,
        repeats=1,
        recipe=recipe or Recipe(),
    )


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def make_run(folder: Path, spec: TagSpec, rows: list[DatasetRow]) -> RunDir:
    run_dir = RunDir(folder / "run")
    publish(run_dir.spec, spec.model_dump_json().encode())
    publish(run_dir.dataset, "".join(row.model_dump_json() + "\n" for row in rows).encode())
    return run_dir


def context(run_dir: RunDir, wants_stop: Callable[[], bool] = lambda: False, attempt: int = 1) -> RunContext:
    spec = TagSpec.model_validate_json(run_dir.spec.read_text())
    return RunContext(run_dir, spec, EventLog(run_dir.events, attempt), attempt, wants_stop, lambda: False)


def wd_spec(folder: Path, **changes: object) -> TagSpec:
    return TagSpec(name="Tags", project="P", tagger="wd", model="tiny", model_path=str(folder), **changes)


def told(line: Looked) -> dict[str, float]:
    return {answer.text: round(answer.confidence, 2) for answer in line.answers if answer.category != DOUBT}


def by_name(run_dir: RunDir) -> dict[str, Looked]:
    return {line.name: line for line in read_book(run_dir)}


@pytest.mark.parametrize("is_channels_last", [True, False])
@pytest.mark.parametrize("batch", [1, "batch"])
def test_a_tagger_names_the_brightest_colour(tmp_path: Path, is_channels_last: bool, batch: int | str) -> None:
    spec = wd_spec(make_wd(tmp_path / "wd", is_channels_last=is_channels_last, batch=batch), character_threshold=0.75)
    rows = [row_of(paint(tmp_path / "red.png", RED)), row_of(paint(tmp_path / "blue.png", BLUE))]
    run_dir = make_run(tmp_path, spec, rows)
    tag(context(run_dir))
    lines = by_name(run_dir)
    # The face keeps its underscore, the name does not; the rating is no suggestion.
    assert told(lines["red.png"]) == {"red": 1.0, "fox hero": 0.8, ">_<": 0.5}
    assert told(lines["blue.png"]) == {"blue": 1.0}
    assert {answer.text: answer.category for answer in lines["red.png"].answers}["fox hero"] == "character"
    phases = [event for event in read_events(run_dir.events) if isinstance(event, PhaseChanged)]
    assert (phases[-1].done, phases[-1].total) == (2, 2)


def test_thresholds_differ_by_category_and_the_number_is_bounded(tmp_path: Path) -> None:
    folder = make_wd(tmp_path / "wd")
    red = row_of(paint(tmp_path / "red.png", RED))
    strict = make_run(tmp_path / "a", wd_spec(folder, threshold=0.6, character_threshold=0.85), [red])
    tag(context(strict))
    assert told(by_name(strict)["red.png"]) == {"red": 1.0}
    few = make_run(tmp_path / "b", wd_spec(folder, threshold=0.1, character_threshold=0.1, most_tags=2), [red])
    tag(context(few))
    assert list(told(by_name(few)["red.png"])) == ["red", "fox hero"]


def test_scores_without_a_sigmoid_are_made_shares(tmp_path: Path) -> None:
    run_dir = make_run(
        tmp_path, wd_spec(make_wd(tmp_path / "wd", has_sigmoid=False)), [row_of(paint(tmp_path / "red.png", RED))]
    )
    tag(context(run_dir))
    found = told(by_name(run_dir)["red.png"])
    assert found["red"] == 1.0
    assert found[">_<"] == 0.5
    assert "blue" not in found


def test_a_picture_is_padded_on_white_and_seen_through_its_recipe(tmp_path: Path) -> None:
    folder = make_wd(tmp_path / "wd")
    wide = paint(tmp_path / "wide.png", RED, (64, 32))
    left_half = paint(tmp_path / "half.png", BLUE, (64, 64))
    with Image.open(left_half) as picture:
        picture.load()
    picture.paste(RED, (0, 0, 32, 64))
    picture.save(left_half)
    cropped = Recipe(crop=Crop(left=0, top=0, width=32, height=32))
    rows = [row_of(wide), row_of(left_half, recipe=cropped)]
    run_dir = make_run(tmp_path, wd_spec(folder, threshold=0.01), rows)
    tag(context(run_dir))
    lines = by_name(run_dir)
    # Half of the square is white, which is as blue and green as it is red.
    assert told(lines["wide.png"])["blue"] == pytest.approx(0.5, abs=0.03)
    assert told(lines["wide.png"])["red"] == 1.0
    assert "blue" not in told(lines["half.png"])


def test_tags_of_the_caption_that_the_model_does_not_see_are_told(tmp_path: Path) -> None:
    row = row_of(paint(tmp_path / "red.png", RED), "Blue, red, green_leaf, unknown thing")
    run_dir = make_run(tmp_path, wd_spec(make_wd(tmp_path / "wd")), [row])
    tag(context(run_dir))
    doubts = {each.text: each.confidence for each in by_name(run_dir)["red.png"].answers if each.category == DOUBT}
    assert doubts == {"Blue": 0.0, "green_leaf": 0.0}


def test_one_bad_image_is_named_and_holds_nothing_up(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    rows = [row_of(bad), row_of(paint(tmp_path / "red.png", RED)), row_of(tmp_path / "gone.png")]
    run_dir = make_run(tmp_path, wd_spec(make_wd(tmp_path / "wd")), rows)
    tag(context(run_dir))
    assert "red" in told(by_name(run_dir)["red.png"])
    assert by_name(run_dir)["bad.png"].answers == ()
    warnings = [event.message for event in read_events(run_dir.events) if isinstance(event, Warned)]
    assert [message.split(":")[0] for message in warnings] == ["bad.png", "gone.png"]


def test_a_new_attempt_goes_on_behind_the_last_whole_line(tmp_path: Path) -> None:
    rows = [row_of(paint(tmp_path / f"{place}.png", RED)) for place in range(6)]
    run_dir = make_run(tmp_path, wd_spec(make_wd(tmp_path / "wd", batch=1)), rows)
    asked = iter([False, False, False, True])
    with pytest.raises(Stopped):
        tag(context(run_dir, lambda: next(asked)))
    assert len(read_book(run_dir)) == 2
    with book_path(run_dir).open("ab") as file:
        file.write(b'{"sha256": "torn')
    before = book_path(run_dir).read_bytes()[: -len(b'{"sha256": "torn')]
    tag(context(run_dir, attempt=2))
    assert book_path(run_dir).read_bytes().startswith(before)
    assert [line.name for line in read_book(run_dir)] == [row.name for row in rows]
    whole = book_path(run_dir).read_bytes()
    tag(context(run_dir, attempt=3))
    assert book_path(run_dir).read_bytes() == whole


def test_an_interruption_is_told_apart(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, wd_spec(make_wd(tmp_path / "wd")), [row_of(paint(tmp_path / "red.png", RED))])
    made = context(run_dir)
    with pytest.raises(Interrupted):
        tag(RunContext(run_dir, made.spec, made.log, 1, lambda: False, lambda: True))


def test_what_is_no_tagger_is_refused_in_words(tmp_path: Path) -> None:
    row = row_of(paint(tmp_path / "red.png", RED))
    nothing = make_run(tmp_path / "a", wd_spec(tmp_path), [row])
    with pytest.raises(ModelMissing, match=r"selected_tags\.csv"):
        tag(context(nothing))
    folder = make_wd(tmp_path / "wd")
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n1,red,0,5\n")
    with pytest.raises(ModelMissing, match="6 numbers"):
        tag(context(make_run(tmp_path / "b", wd_spec(folder), [row])))
    (folder / "model.onnx").write_bytes(b"cut short")
    with pytest.raises(ModelMissing, match="cannot be loaded"):
        tag(context(make_run(tmp_path / "c", wd_spec(folder), [row])))
    with pytest.raises(EmptyDataset):
        tag(context(make_run(tmp_path / "d", wd_spec(folder), [])))


def endpoint_spec(address: str, **changes: object) -> TagSpec:
    values = {"prompt": "Describe {name} for {trigger}; it has {tags} and {braces}.", **changes}
    return TagSpec(
        name="Words", project="P", tagger="endpoint", model="tiny-vl", address=address, trigger_word="rdct", **values
    )


def test_an_endpoint_is_asked_with_the_prompt_and_a_small_jpeg(tmp_path: Path) -> None:
    with chat_server(lambda _: said('  "A red\nsquare."  ')) as chat:
        row = row_of(paint(tmp_path / "red.png", RED, (2048, 1024)), "red, square")
        run_dir = make_run(tmp_path, endpoint_spec(chat.address), [row])
        tag(context(run_dir))
    (line,) = read_book(run_dir)
    assert [(each.kind, each.text) for each in line.answers] == [("caption", "A red square.")]
    text, image = chat.asked[0]["messages"][0]["content"]
    assert text["text"] == "Describe red for rdct; it has red, square and {braces}."
    kind, _, data = image["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(BytesIO(base64.b64decode(data))) as sent:
        assert (sent.format, sent.size) == ("JPEG", (1024, 512))


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        (said(""), "no answer"),
        (said(None), "no answer"),
        (said("I'm sorry, but I can't help with that."), "refused"),
        (said("I cannot assist with this request."), "refused"),
        (said("<think>It wants a caption.</think>"), "no answer"),
        (said("rdct."), "trigger word"),
        (Reply(body=b'{"choices": []}'), "no answer"),
        (Reply(500, b'{"error": {"message": "out of slots"}}'), "out of slots"),
        (Reply(400, b'{"error": "this model takes no images"}'), "takes no images"),
    ],
)
def test_no_answer_becomes_a_note_and_never_a_caption(tmp_path: Path, reply: Reply, note: str) -> None:
    with chat_server(lambda _: reply) as chat:
        run_dir = make_run(tmp_path, endpoint_spec(chat.address), [row_of(paint(tmp_path / "red.png", RED))])
        tag(context(run_dir))
    (line,) = read_book(run_dir)
    assert line.answers == ()
    assert note in line.note
    assert any(isinstance(event, Warned) and note in event.message for event in read_events(run_dir.events))


def test_thoughts_labels_and_cut_sentences_are_taken_off(tmp_path: Path) -> None:
    texts = iter(
        [said("<think>hm</think>\n**Caption:** A cat."), said("One. Two. Thr", "length"), said("Sorrel horse.")]
    )
    with chat_server(lambda _: next(texts)) as chat:
        rows = [row_of(paint(tmp_path / f"{place}.png", RED)) for place in range(3)]
        run_dir = make_run(tmp_path, endpoint_spec(chat.address), rows)
        tag(context(run_dir))
    assert [line.answers[0].text for line in read_book(run_dir)] == ["A cat.", "One. Two.", "Sorrel horse."]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(401, b'{"error": {"message": "key needed"}}'), "refuses us.*key needed"),
        (Reply(302, b"", {"location": "http://127.0.0.1:1/"}), "another address"),
        (Reply(200, b"<html>"), "not as an OpenAI-compatible"),
    ],
)
def test_what_will_not_get_better_ends_the_run(tmp_path: Path, reply: Reply, reason: str) -> None:
    with chat_server(lambda _: reply) as chat:
        run_dir = make_run(tmp_path, endpoint_spec(chat.address), [row_of(paint(tmp_path / "red.png", RED))])
        with pytest.raises(WorkerError, match=reason):
            tag(context(run_dir))
    assert len(chat.asked) == 1


def test_an_unknown_model_and_an_absent_server_are_named(tmp_path: Path) -> None:
    rows = [row_of(paint(tmp_path / "red.png", RED))]
    with chat_server(lambda _: said("A cat.")) as chat:
        spec = endpoint_spec(chat.address).model_copy(update={"model": "other"})
        with pytest.raises(WorkerError, match="model 'other' not found"):
            tag(context(make_run(tmp_path / "a", spec, rows)))
    with pytest.raises(WorkerError, match="Nothing answers") as refusal:
        tag(context(make_run(tmp_path / "b", endpoint_spec(chat.address), rows)))
    assert "Ollama" in refusal.value.hint


def test_failures_in_a_row_end_the_run_and_keep_what_was_said(tmp_path: Path) -> None:
    replies = iter([said("A cat."), *[Reply(500, b"{}")] * 9])
    with chat_server(lambda _: next(replies)) as chat:
        rows = [row_of(paint(tmp_path / f"{place}.png", RED)) for place in range(10)]
        run_dir = make_run(tmp_path, endpoint_spec(chat.address), rows)
        with pytest.raises(WorkerError, match="500"):
            tag(context(run_dir))
    assert len(read_book(run_dir)) == 5
    assert len(chat.asked) == 6


def captioner_spec(folder: Path, prompt: str = "") -> TagSpec:
    return TagSpec(
        name="Words", project="P", tagger="captioner", model="blip", model_path=str(folder), prompt=prompt, max_tokens=6
    )


def test_a_captioner_writes_a_sentence(tmp_path: Path) -> None:
    folder = make_blip(tmp_path / "blip")
    row = row_of(paint(tmp_path / "red.png", RED))
    run_dir = make_run(tmp_path / "a", captioner_spec(folder, "a photo of the {name}"), [row])
    tag(context(run_dir))
    (line,) = read_book(run_dir)
    (answer,) = line.answers
    assert answer.kind == "caption"
    assert answer.text.startswith("a photo of the red")
    freely = make_run(tmp_path / "b", captioner_spec(folder), [row])
    tag(context(freely))
    assert len(read_book(freely)) == 1


def test_only_known_architectures_in_safetensors_are_loaded(tmp_path: Path) -> None:
    row = row_of(paint(tmp_path / "red.png", RED))
    folder = make_blip(tmp_path / "blip")
    rename_architecture(folder, "exotic")
    with pytest.raises(ModelMissing, match="exotic"):
        tag(context(make_run(tmp_path / "a", captioner_spec(folder), [row])))
    rename_architecture(folder, "blip")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelMissing, match=r"no \.safetensors"):
        tag(context(make_run(tmp_path / "b", captioner_spec(folder), [row])))
    with pytest.raises(ModelMissing, match=r"config\.json"):
        tag(context(make_run(tmp_path / "c", captioner_spec(tmp_path / "nowhere"), [row])))


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = make_blip(tmp_path / "blip")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    run_dir = make_run(tmp_path, captioner_spec(folder), [row_of(paint(tmp_path / "red.png", RED))])
    with pytest.raises(ModelMissing, match="lacks"):
        tag(context(run_dir))
