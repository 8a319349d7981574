"""Base storage: answers near the whole base's, gradients that flow, bytes that are really saved."""

import copy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from app.contract.families import FamilyKey
from app.contract.memory import STORED_BYTES
from app.contract.spec import BaseModelRef, Storage
from tests.worker import tiny
from worker.families import load
from worker.storage import Form, Stored, store
from worker.train import train

ALLOWED: dict[Storage, float] = {"full": 1e-6, "fp8": 0.1, "int8": 0.02, "nf4": 0.2}
"""Error of an answer as a share of it: random layers of sixteen channels make more of it than real ones."""


def stored_bytes(model: nn.Module) -> int:
    """What a model's weights take where the model is: parameters and buffers, not what waits in main memory."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def denoiser_of(base: BaseModelRef, dtype: torch.dtype = torch.float32) -> nn.Module:
    denoiser = load(base, dtype).parts.denoiser
    targets = [path for path, layer in denoiser.named_modules() if path.endswith(("to_q", "proj_in", "conv1"))]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        inject_adapter_in_model(LoraConfig(r=4, lora_alpha=4, target_modules=targets), denoiser)
        for name, weight in denoiser.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(weight, std=0.1)
    return denoiser


def answer_of(denoiser: nn.Module, base: BaseModelRef) -> Tensor:
    torch.manual_seed(5)
    config = denoiser.config
    dtype = denoiser.dtype
    noisy = torch.randn(2, 4, 8, 8).to(dtype)
    added = {"text_embeds": torch.randn(2, 24).to(dtype), "time_ids": torch.ones(2, 6).to(dtype)}
    more = {"added_cond_kwargs": added} if base.family == "sdxl" else {}
    texts = torch.randn(2, 7, config.cross_attention_dim).to(dtype)
    answer: Tensor = denoiser(noisy, torch.tensor([5, 800]), texts, return_dict=False, **more)[0]
    return answer


def gradients_of(denoiser: nn.Module, base: BaseModelRef) -> dict[str, Tensor]:
    answer_of(denoiser, base).float().square().mean().backward()
    return {name: each.grad for name, each in denoiser.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("offloads", [False, True])
@pytest.mark.parametrize("storage", STORED_BYTES)
def test_a_stored_base_answers_nearly_alike_and_gradients_reach_the_lora(
    base: BaseModelRef, storage: Storage, offloads: bool
) -> None:
    whole = denoiser_of(base)
    kept = copy.deepcopy(whole)
    store(kept, storage, offloads=offloads)
    assert any(isinstance(layer, Stored) for layer in kept.modules()) is (storage != "full" or offloads)
    kept.enable_gradient_checkpointing()
    kept.train()
    with torch.no_grad():
        expected, found = answer_of(whole, base), answer_of(kept, base)
    assert float((found - expected).norm() / expected.norm()) <= ALLOWED[storage]
    # Against plain layers that hold what storage kept, the way back must agree to the last digits.
    plain = copy.deepcopy(whole)
    for path, layer in kept.named_modules():
        if isinstance(layer, Stored):
            plain.get_submodule(path).weight.data = layer.weight
    expected_grads, found_grads = gradients_of(plain, base), gradients_of(kept, base)
    assert found_grads.keys() == expected_grads.keys()
    assert all("lora" in name for name in found_grads)
    assert len(found_grads) > 4
    for name, gradient in expected_grads.items():
        torch.testing.assert_close(found_grads[name], gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("storage", ["fp8", "int8", "nf4"])
def test_bytes_are_saved(base: BaseModelRef, storage: Storage) -> None:
    whole = load(base, torch.bfloat16).parts.denoiser.requires_grad_(False)
    before = stored_bytes(whole)
    layers = [m for path, m in whole.named_modules() if path.split(".")[0] in ("down_blocks", "mid_block", "up_blocks")]
    linear = sum(m.weight.numel() for m in layers if isinstance(m, nn.Linear))
    conv = sum(m.weight.numel() for m in layers if isinstance(m, nn.Conv2d))
    store(whole, storage)
    saved = before - stored_bytes(whole)
    # The scales of layers as narrow as these weigh more than those of the real ones.
    assert saved >= 0.7 * (linear * (2 - STORED_BYTES[storage]) + conv * 0.95)
    outside = load(base, torch.bfloat16).parts.denoiser.requires_grad_(False)
    store(outside, storage, offloads=True)
    assert stored_bytes(outside) < stored_bytes(whole)


def test_offloaded_layers_stay_where_they_are_and_answer_bit_for_bit(base: BaseModelRef) -> None:
    whole = denoiser_of(base)
    outside = copy.deepcopy(whole)
    store(outside, "full", offloads=True)
    with torch.no_grad():
        assert torch.equal(answer_of(outside, base), answer_of(whole, base))
    outside.to("meta")
    layers = [layer for layer in outside.modules() if isinstance(layer, Stored)]
    assert all(each.device.type == "cpu" for layer in layers for each in layer.kept)


def test_half_precision_and_autocast(bases: dict[FamilyKey, BaseModelRef]) -> None:
    base = bases["sd15"]
    whole = denoiser_of(base, torch.bfloat16)
    kept = copy.deepcopy(whole)
    store(kept, "int8")
    kept.to(torch.bfloat16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected, found = answer_of(whole, base).float(), answer_of(kept, base).float()
    assert float((found - expected).abs().max() / expected.std()) < 0.1
    assert kept.dtype == torch.bfloat16


@pytest.mark.parametrize("storage", STORED_BYTES)
@pytest.mark.parametrize("shape", [(48, 32), (7, 5), (6, 4, 3, 3)])
def test_a_weight_comes_back(storage: Storage, shape: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    weight = torch.randn(shape) * torch.logspace(-3, 1, shape[0]).view(-1, *(1,) * (len(shape) - 1))
    form = Form(storage, weight.shape, torch.float32)
    back = form.whole(form.keep(weight), weight.device, torch.float32)
    assert back.shape == weight.shape
    error = (back - weight).norm() / weight.norm()
    assert float(error) <= {"full": 0.0, "fp8": 0.04, "int8": 0.01, "nf4": 0.15}[storage]
    zeros = form.whole(form.keep(torch.zeros(shape)), weight.device, torch.float32)
    assert torch.equal(zeros, torch.zeros(shape))


@pytest.mark.parametrize("storage", ["fp8", "int8"])
def test_a_small_weight_comes_back_in_fp16_as_well_as_in_bf16(storage: Storage) -> None:
    """Its peak over 127 or 448 is a number that fp16 has but a few bits for."""
    torch.manual_seed(1)
    weight = torch.randn(16, 256) * 2e-4
    weight[:, 0] = weight.abs().amax() * 1.01
    form = Form(storage, weight.shape, torch.float16)
    kept = form.keep(weight)
    exact, half = (form.whole(kept, weight.device, dtype).float() for dtype in (torch.float32, torch.float16))
    assert (exact - half).abs().max() < exact.abs().max() * 1e-3


def test_dora_can_read_a_stored_weight() -> None:
    layer = nn.Sequential(nn.Linear(16, 16).requires_grad_(False))
    model = nn.Module()
    model.down_blocks = layer
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["down_blocks.0"], use_dora=True), model)
    store(model, "int8")
    answer = model.down_blocks(torch.randn(3, 16))
    answer.sum().backward()
    assert all(each.grad is not None for name, each in model.named_parameters() if "lora_B" in name)


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_weight_is_made_whole_where_the_model_is(has_bias: bool) -> None:
    """DoRA asks for it beside its own weights, which are on the model's device."""
    model = nn.Module()
    model.down_blocks = nn.Sequential(nn.Linear(16, 16, bias=has_bias).requires_grad_(False))
    store(model, "int8", offloads=True)
    model.to("meta")
    assert model.down_blocks[0].weight.device.type == "meta"


def test_whole_runs_learn_and_draw_on_a_stored_base(base: BaseModelRef, tmp_path: Path) -> None:
    losses = {}
    for storage, offloads in (("full", False), ("int8", False), ("full", True)):
        settings = {"steps": 2, "batch": 2, "base_storage": storage, "offloads_blocks": offloads, "seed": 7}
        spec = tiny.make_spec(base, optimization=settings)
        run_dir = tiny.new_run(tmp_path / f"{storage}-{offloads}", spec, tiny.SIZES[:3])
        train(tiny.context_of(run_dir, spec))
        assert run_dir.lora(2).is_file()
        assert run_dir.sample(2, 0, 1, 1.0).is_file()
        losses[storage, offloads] = tiny.losses_of(run_dir)
    assert losses["full", True] == losses["full", False]
    assert losses["int8", False] == pytest.approx(losses["full", False], rel=0.02)
