"""Every shape of a LoRA: what it attaches to, that diffusers draws it as it was trained, going on from a file."""

import hashlib
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from app.contract.events import Warned
from app.contract.families import FamilyKey
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, LoraRef, Network, TrainSpec
from tests.worker import tiny
from tests.worker.test_lora_file import EPSILON, SD15, SDXL
from worker.errors import BadSpec, ModelMissing
from worker.families import load
from worker.families.base import Family
from worker.lora import Lora, attach
from worker.lora_file import Training, write
from worker.lora_sites import convolution_targets
from worker.lora_source import read_source
from worker.render import load_lora
from worker.sampling import make_scheduler
from worker.train import train

BOTH = (True, True)
VARIANTS: dict[str, dict[str, object]] = {
    "rank 16, alpha 8": {"rank": 16, "alpha": 8},
    "convolutions": {"conv_rank": 3, "conv_alpha": 6},
    "rank-stabilised": {"is_rank_stabilised": True},
    "blocks": {
        "blocks": [{"prefix": "up_blocks", "rank": 2}, {"prefix": "mid_block.attentions.0", "rank": 6}],
        "conv_rank": 2,
    },
    "a block left out": {"blocks": [{"prefix": "mid_block", "rank": 0}]},
}


def network_of(**changes: object) -> Network:
    """A small network."""
    return Network.model_validate({"rank": 4, "alpha": 2, **changes})


def learnt(base: BaseModelRef, network: Network, trains_text: tuple[bool, bool] = BOTH) -> tuple[Family, Lora]:
    """A LoRA on the base whose weights are all something."""
    family = load(base, torch.float32)
    lora = attach(family, network, trains_text=trains_text, seed=1)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in lora.modules:
            module.up.copy_(0.1 * torch.randn(module.up.shape, generator=generator))
            if module.magnitude is not None:
                module.magnitude.mul_(1 + 0.2 * torch.rand(module.magnitude.shape, generator=generator))
    return family, lora


def answer_of(family: Family) -> Tensor:
    """What the base with its LoRA answers to one question."""
    generator = torch.Generator().manual_seed(6)
    noisy = torch.randn(1, 4, 16, 16, generator=generator)
    row = tiny.make_place(64, 64)
    with torch.no_grad():
        return family.predict(noisy, torch.tensor([400]), family.encode_texts(["pebblo, red"]), [row])


def write_file(path: Path, lora: Lora, base: BaseModelRef) -> LoraRef:
    """Write the LoRA as a run does."""
    now = datetime.now(UTC)
    spec = tiny.make_spec(base)
    rows = tiny.make_pictures(path.parent / "pictures", spec, ((64, 64),))
    write(path, lora, Training(spec, rows, 1, 1, EPSILON, now, now))
    return LoraRef(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("variant", VARIANTS)
def test_diffusers_answers_with_the_file_as_we_do_in_memory(base: BaseModelRef, tmp_path: Path, variant: str) -> None:
    ours, lora = learnt(base, network_of(**VARIANTS[variant]))
    path = tmp_path / "lora.safetensors"
    write_file(path, lora, base)
    theirs = load(base, torch.float32)
    untouched = answer_of(theirs)
    load_lora(theirs.pipeline(make_scheduler(theirs.parts.scheduler), is_whole=True), path)
    wanted = answer_of(ours)
    assert torch.allclose(answer_of(theirs), wanted, atol=2e-3)
    assert not torch.allclose(untouched, wanted, atol=2e-2)


@pytest.mark.parametrize("settings", [SD15, SDXL], ids=["sd15", "sdxl"])
def test_convolutions_are_those_of_resnets_and_samplers(settings: dict[str, object]) -> None:
    """Two in every resnet and one in every sampler: 22 resnets and 6 samplers of SD 1.5, 17 and 4 of SDXL."""
    with torch.device("meta"):
        denoiser = UNet2DConditionModel(**settings)
    expected = {True: 22 * 2 + 6, False: 17 * 2 + 4}["attention_head_dim" in settings and settings is SD15]
    assert len(convolution_targets(denoiser)) == expected


def test_a_rank_stabilised_scale_is_alpha_over_the_root(base: BaseModelRef) -> None:
    _, lora = learnt(base, network_of(is_rank_stabilised=True))
    assert {module.alpha / module.rank for module in lora.modules} == {2 / sqrt(4)}


def test_blocks_have_ranks_and_rates_of_their_own(base: BaseModelRef) -> None:
    up = {"sd15": "up_blocks.1", "sdxl": "up_blocks.0"}[base.family]
    blocks = [
        {"prefix": up, "rank": 2, "learning_rate_scale": 0.5},
        {"prefix": f"{up}.attentions.1", "learning_rate_scale": 0},
        {"prefix": "mid_block", "rank": 0},
    ]
    family, lora = learnt(base, network_of(blocks=blocks))
    by_name = {module.file_name: module for module in lora.modules}

    def of(prefix: str) -> set[tuple[int, float, float, bool]]:
        paths = [path for path, _ in family.parts.denoiser.named_modules() if path.startswith(prefix)]
        names = [
            "lora_unet_" + family.denoiser_name(path.removesuffix(".base_layer")).replace(".", "_")
            for path in paths
            if path.endswith(".base_layer")
        ]
        return {(each.rank, each.alpha, each.rate_scale, each.is_trained) for each in map(by_name.get, names) if each}

    assert of(f"{up}.attentions.0") == {(2, 1.0, 0.5, True)}
    assert of(f"{up}.attentions.1") == {(4, 2.0, 0.0, False)}
    assert of("mid_block") == set()
    assert of("down_blocks") == {(4, 2.0, 1.0, True)}


def test_a_block_that_is_not_there_is_named(base: BaseModelRef) -> None:
    with pytest.raises(BadSpec, match=r"no block 'up_blocks\.9'"):
        learnt(base, network_of(blocks=[{"prefix": "up_blocks.9"}]))


def test_text_encoders_are_attached_to_one_by_one(bases: dict[FamilyKey, BaseModelRef]) -> None:
    for trains_text, expected in (((False, False), set()), ((True, False), {0}), ((False, True), {1})):
        _, lora = learnt(bases["sdxl"], network_of(), trains_text)
        assert {module.encoder for module in lora.modules} - {None} == expected


def test_a_fresh_dora_changes_nothing_and_learns_lengths(base: BaseModelRef, tmp_path: Path) -> None:
    family = load(base, torch.float32)
    before = answer_of(family)
    lora = attach(family, network_of(uses_dora=True, conv_rank=2), trains_text=BOTH, seed=1)
    assert torch.allclose(answer_of(family), before, atol=1e-4)
    spec = tiny.make_spec(base, network__uses_dora=True, sampling__prompts=[], optimization__steps=3)
    run_dir = tiny.new_run(tmp_path, spec)
    train(tiny.context_of(run_dir, spec))
    kept = load_file(run_dir.lora(3))
    scales = {name: scale for name, scale in kept.items() if name.endswith("dora_scale")}
    assert {name.replace("dora_scale", "alpha") for name in scales} == {name for name in kept if name.endswith("alpha")}
    for name, scale in scales.items():
        up = kept[name.replace("dora_scale", "lora_up.weight")]
        assert scale.shape == (up.shape[0], *(1,) * (up.dim() - 1))
    assert len(lora.modules) > len(scales) or not spec.network.conv_rank


@pytest.mark.parametrize("changes", [{}, {"uses_dora": True}, *VARIANTS.values()], ids=["plain", "dora", *VARIANTS])
def test_going_on_from_a_file_begins_where_it_ended(
    base: BaseModelRef, tmp_path: Path, changes: dict[str, object]
) -> None:
    ours, lora = learnt(base, network_of(**changes))
    source = read_source(write_file(tmp_path / "lora.safetensors", lora, base))
    theirs = load(base, torch.float32)
    again = attach(theirs, network_of(**changes), trains_text=BOTH, seed=9, source=source)
    shapes = [[(each.file_name, each.rank) for each in lora.modules] for lora in (lora, again)]
    assert shapes[0] == shapes[1]
    assert torch.allclose(answer_of(theirs), answer_of(ours), atol=2e-3)


def continued(base: BaseModelRef, folder: Path, ref: LoraRef, **changes: object) -> tuple[RunDir, TrainSpec]:
    """A run of two steps that goes on from a file."""
    settings = {"sampling__prompts": [], "optimization__steps": 2, "optimization__warmup_steps": 0, **changes}
    spec = tiny.make_spec(base, network__continues=ref.model_dump(), **settings)
    run_dir = tiny.new_run(folder, spec)
    train(tiny.context_of(run_dir, spec))
    return run_dir, spec


def test_rank_and_alpha_of_the_file_are_kept_and_said(base: BaseModelRef, tmp_path: Path) -> None:
    """The text encoders' part of the file stays as it is where their rate is 0, and still counts."""
    _, lora = learnt(base, Network(rank=3, alpha=6))
    ref = write_file(tmp_path / "lora.safetensors", lora, base)
    run_dir, _ = continued(base, tmp_path, ref)
    (warning,) = [event for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]
    assert "it has rank 3 with alpha 6; the settings say rank 4 with alpha 2" in warning.message
    before, after = load_file(ref.path), load_file(run_dir.lora(2))
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        is_still = name.startswith("lora_te") or name.endswith("alpha")
        assert torch.equal(tensor, before[name]) is is_still, name


def test_kohyas_spellings_are_understood(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    """Files of SDXL with diffusers' names, and of SD 1.5 whose text encoder is called the first of two."""
    for family, old, new in (("sdxl", "lora_unet_input_blocks_4_1", "lora_unet_down_blocks_1_attentions_0"),
                             ("sd15", "lora_te_", "lora_te1_")):  # fmt: skip
        base = bases[family]  # type: ignore[index]  # a loop variable is plain text
        _, lora = learnt(base, network_of())
        path = tmp_path / family / "lora.safetensors"
        write_file(path, lora, base)
        renamed = {name.replace(old, new): tensor for name, tensor in load_file(path).items()}
        assert renamed.keys() != load_file(path).keys()
        save_file(renamed, path)
        source = read_source(LoraRef(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
        again = attach(load(base, torch.float32), network_of(), trains_text=BOTH, seed=2, source=source)
        assert [each.file_name for each in again.modules] == [each.file_name for each in lora.modules]
        for one, other in zip(again.modules, lora.modules, strict=True):
            assert torch.allclose(one.up, other.up, atol=1e-3)


def test_a_file_that_cannot_be_gone_on_from_is_refused_in_words(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path
) -> None:
    _, lora = learnt(bases["sdxl"], network_of())
    ref = write_file(tmp_path / "lora.safetensors", lora, bases["sdxl"])
    with pytest.raises(BadSpec, match=r"have no place in the base model: lora_"):
        continued(bases["sd15"], tmp_path / "other family", ref)
    with pytest.raises(ModelMissing, match="it changed"):
        read_source(ref.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(ModelMissing, match="is gone"):
        read_source(ref.model_copy(update={"path": "/nowhere.safetensors"}))
    path = tmp_path / "loha.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(2, 2), "lora_unet_x.hada_w1_a": torch.zeros(2, 2)}, path)
    with pytest.raises(BadSpec, match="no part of a plain LoRA"):
        read_source(LoraRef(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()))


def test_dropout_leaves_out_inputs_in_training_alone(base: BaseModelRef, tmp_path: Path) -> None:
    losses = {}
    for dropout in (0.0, 0.5):
        spec = tiny.make_spec(base, network__dropout=dropout, sampling__every_steps=4)
        run_dir = tiny.new_run(tmp_path / str(dropout), spec)
        train(tiny.context_of(run_dir, spec))
        losses[dropout] = tiny.losses_of(run_dir)
        # Drawing in between switches it off, and training on again.
        assert tiny.pixels(run_dir, 0, 0, 1) == tiny.pixels(tiny.RunDir(tmp_path / "0.0" / "run"), 0, 0, 1)
    assert losses[0.0][0] == pytest.approx(losses[0.5][0], rel=1e-4)
    assert losses[0.0][4:] != losses[0.5][4:]


def test_text_encoders_stop_where_they_are_told_to(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(
        base,
        sampling__prompts=[],
        saving__every_steps=2,
        optimization__text_encoder_stop_step=4,
        **tiny.text_rates(base.family, 1e-3),
    )
    run_dir = tiny.new_run(tmp_path, spec)
    train(tiny.context_of(run_dir, spec))
    second, fourth, last = (load_file(run_dir.lora(step)) for step in (2, 4, 8))
    text = [name for name in last if name.startswith("lora_te") and name.endswith("lora_down.weight")]
    unet = [name for name in last if name.startswith("lora_unet") and name.endswith("lora_down.weight")]
    assert all(torch.equal(last[name], fourth[name]) for name in text)
    assert any(not torch.equal(second[name], fourth[name]) for name in text)
    assert any(not torch.equal(last[name], fourth[name]) for name in unet)


def test_a_second_text_encoder_that_is_not_there_is_refused(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path
) -> None:
    spec = tiny.make_spec(bases["sd15"], optimization__text_encoder_2_learning_rate=1e-4)
    with pytest.raises(BadSpec, match="no second text encoder"):
        train(tiny.context_of(tiny.new_run(tmp_path, spec), spec))
