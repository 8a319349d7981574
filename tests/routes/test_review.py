"""The review: the grid, verdicts that last, one best a run, and strength sweeps on the same page."""

import re

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.contract.events import Failed
from app.contract.spec import RenderSpec
from app.errors import Invalid
from app.routes.review import read_strengths
from app.store import runs, verdicts
from app.store.db import read
from app.store.verdicts import Verdict, VerdictKey
from tests.drawing import project_with_images
from tests.routes.conftest import Element, Html
from tests.routes.stories import Story, finished_story, living_worker, sweep_story, train_story

pytestmark = pytest.mark.anyio

SEED = 42


@pytest.fixture
def ready_id(settings: Settings, store: Engine) -> int:
    """A project with four captioned pictures on the bundled base."""
    return project_with_images(settings, store)


@pytest.fixture
def finished(settings: Settings, store: Engine, ready_id: int) -> Story:
    """A training that ran to its end: samples at 0, 20 and 40."""
    return finished_story(settings, store, ready_id)


def cells_of(page: Html) -> dict[str, Element]:
    """The samples of a page by step, prompt and strength."""
    found = page.all("div", class_="review-cell")
    return {each.attrs["id"].removeprefix("cell-"): each for each in found}


def cell_name(story: Story, step: int, prompt: int, percent: int = 100) -> str:
    """The name of one sample as in the ids of the page."""
    return f"{story.run.id}-{step}-{prompt}-{SEED}-{percent}"


async def judge(
    http: httpx.AsyncClient, story: Story, step: int, choice: str, prompt: int = 0, note: str | None = None
) -> httpx.Response:
    """Give a verdict as the page does."""
    sent = {"step": step, "prompt_index": prompt, "seed": SEED, "strength_pct": 100, "choice": choice}
    return await http.post(f"/runs/{story.run.id}/verdicts", data=sent if note is None else {**sent, "note": note})


def given(store: Engine, story: Story) -> dict[tuple[int, int], Verdict]:
    """The verdicts of a run by step and prompt."""
    with read(store) as session:
        found = verdicts.for_runs(session, [story.run.id])
    return {(key.step, key.prompt_index): verdict for key, verdict in found.items()}


async def show(http: httpx.AsyncClient, project_id: int, query: str = "") -> Html:
    """The review page."""
    answer = await http.get(f"/projects/{project_id}/review{query}")
    assert answer.status_code == 200, answer.text
    return Html(answer.text)


async def test_without_runs_it_says_how_to_begin(http: httpx.AsyncClient, project_id: int) -> None:
    page = await show(http, project_id)
    assert "Nothing to review yet" in page.source
    assert page.one("a", class_="primary").attrs["href"] == f"/projects/{project_id}/images"


async def test_with_images_training_comes_next(http: httpx.AsyncClient, ready_id: int) -> None:
    assert (await show(http, ready_id)).one("a", class_="primary").attrs["href"] == f"/projects/{ready_id}/train"


async def test_the_grid_has_every_prompt_at_every_checkpoint_beside_the_baseline(
    http: httpx.AsyncClient, finished: Story, ready_id: int
) -> None:
    page = await show(http, ready_id)
    grid = await http.get(f"/runs/{finished.run.id}/grid")
    alone, _, beside = grid.text.partition("<hx-partial")
    assert alone.strip() in page.source
    assert [each.attrs["hx-target"] for each in Html(f"<hx-partial{beside}").all("hx-partial")] == [
        "#review-status",
        "#review-best",
        "#step",
    ]
    heads = [each.text for each in page.all("th", scope="col")]
    assert [head.split(" ")[0:2] for head in heads] == [["Baseline", "no"], ["Step", "20"], ["Step", "40"]]
    cells = cells_of(page)
    assert list(cells) == [cell_name(finished, step, prompt) for prompt in (0, 1) for step in (0, 20, 40)]
    assert page.one("table", role="grid")
    assert [name for name, each in cells.items() if each.attrs["tabindex"] == "0"] == [cell_name(finished, 0, 0)]
    baseline = cells[cell_name(finished, 0, 1)]
    for step in (20, 40):
        cell = cells[cell_name(finished, step, 1)]
        assert cell.attrs["data-baseline"] == baseline.attrs["data-picture"]
        assert (await http.get(cell.attrs["data-picture"])).status_code == 200
    assert baseline.attrs["data-baseline"] == ""
    assert page.source.count('data-key="k"') == 4
    assert "<b>outside" not in page.source
    assert "hx-sse:connect" not in page.source


async def test_a_verdict_is_kept_shown_and_taken_back(
    http: httpx.AsyncClient, store: Engine, finished: Story, ready_id: int
) -> None:
    name = cell_name(finished, 20, 0)
    part = Html((await judge(http, finished, 20, "keep")).text)
    assert cells_of(part)[name].attrs["data-verdict"] == "keep"
    assert [each.attrs["hx-target"] for each in part.all("hx-partial")] == [
        f"#head-{finished.run.id}-20-100",
        "#review-best",
    ]
    assert "1 kept, 0 rejected" in part.source
    await judge(http, finished, 20, "reject", note="Three legs.")
    await judge(http, finished, 20, "keep")
    assert given(store, finished) == {(20, 0): Verdict("keep", "Three legs.")}
    page = await show(http, ready_id)
    shown = cells_of(page)[name]
    assert (shown.attrs["data-verdict"], shown.attrs["data-note"]) == ("keep", "Three legs.")
    query = {"step": 20, "prompt_index": 0, "seed": SEED, "strength_pct": 100}
    alone = await http.get(f"/runs/{finished.run.id}/cell", params=query)
    assert alone.text.strip() in page.source
    await judge(http, finished, 20, "keep", note="")
    assert given(store, finished) == {(20, 0): Verdict("keep", "")}
    cleared = await judge(http, finished, 20, "")
    assert "data-verdict" not in cells_of(Html(cleared.text))[name].attrs
    assert given(store, finished) == {}


async def test_a_run_has_one_best(http: httpx.AsyncClient, store: Engine, finished: Story, ready_id: int) -> None:
    await judge(http, finished, 20, "best", note="Clean.")
    answer = Html((await judge(http, finished, 40, "best", prompt=1)).text)
    assert given(store, finished) == {(20, 0): Verdict("keep", "Clean."), (40, 1): Verdict("best", "")}
    changed = {name: cell.attrs.get("data-verdict") for name, cell in cells_of(answer).items()}
    assert changed == {cell_name(finished, 40, 1): "best", cell_name(finished, 20, 0): "keep"}
    assert "Take step 40" in answer.source
    await judge(http, finished, 40, "best", prompt=1)
    assert sum(verdict.choice == "best" for verdict in given(store, finished).values()) == 1
    page = await show(http, ready_id)
    assert page.all("a", href=f"/runs/{finished.run.id}/checkpoints/40/lora.safetensors", class_="primary")
    assert "selected" in page.one("option", value="40").attrs


async def test_another_run_has_a_best_of_its_own(
    http: httpx.AsyncClient, settings: Settings, store: Engine, finished: Story, ready_id: int
) -> None:
    second = finished_story(settings, store, ready_id)
    await judge(http, finished, 20, "best")
    await judge(http, second, 40, "best")
    assert given(store, finished)[20, 0].choice == "best"
    page = await show(http, ready_id)
    assert "selected" in page.one("option", value=str(second.run.id)).attrs
    page = await show(http, ready_id, f"?run={finished.run.id}")
    assert cells_of(page)[cell_name(finished, 20, 0)].attrs["data-verdict"] == "best"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"choice": "wonderful"}, 422),
        ({"step": "many"}, 422),
        ({"note": "x" * 2001}, 422),
        ({"step": "30"}, 404),
        ({"step": "0"}, 404),
        ({"seed": "43"}, 404),
    ],
)
async def test_what_cannot_be_judged_is_refused(
    http: httpx.AsyncClient, store: Engine, finished: Story, change: dict[str, str], status: int
) -> None:
    sent = {"step": "20", "prompt_index": "0", "seed": "42", "strength_pct": "100", "choice": "keep"} | change
    answer = await http.post(f"/runs/{finished.run.id}/verdicts", data=sent, headers={"HX-Request": "true"})
    assert answer.status_code == status
    assert given(store, finished) == {}


async def test_a_running_training_is_followed(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int
) -> None:
    story = train_story(settings, store, ready_id)
    page = await show(http, ready_id)
    assert "The run waits in the queue." in page.source
    story.claim()
    assert "The baseline is drawn before training begins" in (await show(http, ready_id)).source
    story.draw(0)
    story.save(20)
    page = await show(http, ready_id)
    assert f'hx-sse:connect="/runs/{story.run.id}/events?after=' in page.source
    assert page.one("div", id="review-grid").attrs["hx-get"] == f"/runs/{story.run.id}/grid"
    assert len(page.all("span", class_="skeleton")) == 2


async def test_what_waits_for_a_checkpoint_comes_with_the_grid(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int
) -> None:
    story = train_story(settings, store, ready_id)
    story.claim()
    story.draw(0)
    page = await show(http, ready_id)
    assert page.one("section", id="strengths")
    assert not page.all("option", value="20")
    assert "Find the best" not in page.source
    story.draw(20)
    story.save(20)
    part = Html((await http.get(f"/runs/{story.run.id}/grid")).text)
    assert "Find the best checkpoint" in part.one("div", id="review-best").text
    assert [each.text for each in part.one("select", id="step") and part.all("option")] == ["Step 20"]


async def test_a_checkpoint_between_two_sample_points_is_not_said_to_be_on_its_way(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int
) -> None:
    story = train_story(settings, store, ready_id)
    story.claim()
    story.draw(0)
    for step in (20, 30):
        story.save(step)
    story.train(1, 30)
    page = await show(http, ready_id)
    assert "Not drawn" in page.one("div", id=f"cell-{cell_name(story, 20, 0)}").text
    assert "Not drawn" not in page.one("div", id=f"cell-{cell_name(story, 30, 0)}").text


async def test_a_checkpoint_without_samples_leads_to_the_sweep(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int
) -> None:
    story = train_story(settings, store, ready_id)
    story.claim()
    story.draw(0)
    story.save(10)
    story.end("stopped")
    step = (await show(http, ready_id)).one("aside", class_="next-step")
    assert "Draw samples of its checkpoint" in step.text


async def test_a_failed_training_says_why(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int
) -> None:
    story = train_story(settings, store, ready_id)
    story.claim()
    story.log.append(Failed(message="The GPU ran out of memory.", hint="Lower the batch to 1."))
    story.end("failed", "The GPU ran out of memory.")
    page = await show(http, ready_id)
    assert "The GPU ran out of memory. Lower the batch to 1." in page.one("div", role="alert").text
    assert not page.all("div", class_="review-cell")


async def test_a_sweep_goes_from_form_to_grid_on_the_same_page(
    http: httpx.AsyncClient, settings: Settings, store: Engine, finished: Story, ready_id: int
) -> None:
    answer = await http.post(f"/runs/{finished.run.id}/sweep", data={"step": "20", "strengths": "1, 0 0.5;0.5"})
    assert answer.status_code == 303
    address = answer.headers["location"]
    with read(store) as session:
        newest = runs.listed(session)[0]
    assert address == f"/projects/{ready_id}/review?run={finished.run.id}&sweep={newest.id}#strengths"
    story = Story(settings, store, newest)
    assert isinstance(story.spec, RenderSpec)
    assert (story.spec.step, story.spec.strengths) == (20, (0.0, 0.5, 1.0))
    page = await show(http, ready_id, address.partition("review")[2].partition("#")[0])
    assert "no worker is running" in page.one("div", id="sweep").text
    with living_worker(settings):
        assert "place 1 in the queue" in (await show(http, ready_id)).one("div", id="sweep").text
        story.claim()
        story.draw(20, 0.0)
        story.draw(20, 0.5)
        page = await show(http, ready_id)
    assert f'hx-sse:connect="/runs/{newest.id}/events' in page.source
    assert "4 of 6" in page.one("div", id="sweep").text
    story.draw(20, 1.0)
    story.end("completed")
    page = await show(http, ready_id)
    alone = await http.get(f"/runs/{newest.id}/strengths")
    assert alone.text.strip() in page.source
    assert "hx-sse:connect" not in page.source
    assert cell_name(story, 20, 1, 50) in cells_of(page)
    sent = {"step": 20, "prompt_index": 1, "seed": SEED, "strength_pct": 50, "choice": "best"}
    judged = await http.post(f"/runs/{newest.id}/verdicts", data=sent)
    assert judged.status_code == 200
    assert "#review-best" not in judged.text
    assert given(store, story) == {(20, 1): Verdict("best", "")}


async def test_the_newest_sweep_is_shown_unless_another_is_named(
    http: httpx.AsyncClient, finished: Story, ready_id: int
) -> None:
    first, second = sweep_story(finished, (0.4,)), sweep_story(finished, (0.8,))
    named = re.compile(r'id="sweep" hx-get="/runs/(\d+)/strengths"')
    assert named.findall((await show(http, ready_id)).source) == [str(second.run.id)]
    chosen = await show(http, ready_id, f"?run={finished.run.id}&sweep={first.run.id}")
    assert named.findall(chosen.source) == [str(first.run.id)]


@pytest.mark.parametrize("text", ["", "strong", "0.5, nan", "3", "1e9"])
async def test_strengths_that_make_no_sense_are_told_beside_the_field(
    http: httpx.AsyncClient, store: Engine, finished: Story, text: str
) -> None:
    answer = await http.post(f"/runs/{finished.run.id}/sweep", data={"step": "20", "strengths": text})
    assert answer.status_code == 422
    page = Html(answer.text)
    field = page.one("input", id="sweep-strengths").attrs
    assert (field["value"], field["aria-invalid"]) == (text, "true")
    assert page.one("div", id="sweep-notes").text
    assert "selected" in page.one("option", value="20").attrs
    with read(store) as session:
        assert len(runs.listed(session)) == 1


async def test_a_sweep_draws_prompts_of_ones_own(
    http: httpx.AsyncClient, settings: Settings, store: Engine, finished: Story, ready_id: int
) -> None:
    typed = "a cat in the rain\n\n  a cat asleep \n"
    sent = {"step": "40", "strengths": "0, 1", "prompts": typed}
    answer = await http.post(f"/runs/{finished.run.id}/sweep", data=sent)
    assert answer.status_code == 303
    with read(store) as session:
        newest = runs.listed(session)[0]
    story = Story(settings, store, newest)
    assert isinstance(story.spec, RenderSpec)
    assert [(prompt.text, prompt.seed) for prompt in story.spec.sampling.prompts] == [
        ("a cat in the rain", SEED),
        ("a cat asleep", SEED),
    ]
    # They stay in the form, to be changed; those of the training are not said again.
    page = await show(http, ready_id)
    assert ">a cat in the rain\na cat asleep</textarea>" in page.source
    sweep_story(finished)
    assert (await show(http, ready_id)).one("textarea", id="sweep-prompts").text == ""


@pytest.mark.parametrize(("prompts", "told"), [("a cat\n" * 33, "33 prompts"), ("x" * 2001, "longer than 2,000")])
async def test_prompts_that_are_too_much_are_told_beside_the_field(
    http: httpx.AsyncClient, store: Engine, finished: Story, prompts: str, told: str
) -> None:
    sent = {"step": "20", "strengths": "1", "prompts": prompts}
    answer = await http.post(f"/runs/{finished.run.id}/sweep", data=sent)
    assert answer.status_code == 422
    page = Html(answer.text)
    assert page.one("textarea", id="sweep-prompts").attrs["aria-invalid"] == "true"
    assert told in page.one("div", id="sweep-prompts-notes").text
    assert "aria-invalid" not in page.one("input", id="sweep-strengths").attrs
    with read(store) as session:
        assert len(runs.listed(session)) == 1


def test_strengths_are_read_however_they_are_parted() -> None:
    assert read_strengths(" 0,.5; 1.\n-2 ") == [0, 0.5, 1, -2]
    with pytest.raises(Invalid):
        read_strengths("0x1")


async def test_what_is_not_there_is_not_found(
    http: httpx.AsyncClient, settings: Settings, store: Engine, finished: Story, ready_id: int
) -> None:
    assert (await http.get("/projects/99/review")).status_code == 404
    assert (await http.get(f"/projects/{ready_id}/review?run=99")).status_code == 404
    assert (await http.get("/runs/99/grid")).status_code == 404
    gone = await http.post(f"/runs/{finished.run.id}/sweep", data={"step": "21", "strengths": "1"})
    assert gone.status_code == 404
    key = VerdictKey(finished.run.id, 20, 9, SEED, 100)
    query = {"step": key.step, "prompt_index": key.prompt_index, "seed": key.seed, "strength_pct": 100}
    assert (await http.get(f"/runs/{finished.run.id}/cell", params=query)).status_code == 404
