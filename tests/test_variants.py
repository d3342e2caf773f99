"""Every variant's step, on both engines, against the obvious dense implementation and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unweave.config import TrainConfig
from unweave.sae.training.arithmetic import Adam, CPUEngine, Engine, Entries, Parameters, SparseGradient
from unweave.sae.training.parallel import World
from unweave.sae.training.retrieval_loss import retrieval_loss
from unweave.sae.training.variants import VARIANTS
from unweave.sae.training.variants.base import AUX_EVERY, strongest_of_batch
from unweave.sae.training.variants.jumprelu import JumpReLU
from unweave.sae.training.variants.matching_pursuit import choose
from unweave.sae.training.variants.topk import strongest_per_text

ENGINES = {"torch": Engine(), "kernels": CPUEngine()}
ALONE = World()
NONE_DEAD = torch.empty(0, dtype=torch.int64)
K, BANDWIDTH = 2, 0.3


@pytest.fixture(params=ENGINES)
def engine(request):
    return ENGINES[request.param]


def identity(n: int) -> Parameters:
    """Activations are the embeddings themselves."""
    return Parameters(torch.eye(n), torch.zeros(n), torch.eye(n), torch.zeros(n), torch.zeros(n))


def random_parameters(seed: int, n_latents: int = 32, d_in: int = 6) -> Parameters:
    random = torch.Generator().manual_seed(seed)
    shapes = ((n_latents, d_in), (n_latents,), (n_latents, d_in), (d_in,))
    W_enc, b_enc, W_dec, b_pre = (torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes)
    W_dec = torch.nn.functional.normalize(W_dec)
    threshold = 2 + torch.rand(n_latents, generator=random, dtype=torch.float64)
    return Parameters(*(t.requires_grad_() for t in (W_enc, 0.3 * b_enc, W_dec, b_pre, threshold)))


def random_texts(seed: int, n: int = 9, d_in: int = 6) -> torch.Tensor:
    return torch.randn(n, d_in, generator=torch.Generator().manual_seed(100 + seed), dtype=torch.float64)


# --- selection -------------------------------------------------------------------------------------


def test_the_batch_budget_goes_where_activations_are_strong(engine):
    # k=1 on two rows keeps the two strongest of all four: 4 and 3, both of the first row.
    entries, cut = strongest_of_batch(engine, identity(2), torch.tensor([[4.0, 3.0], [1.0, 2.0]]), 2, 0.0, ALONE)
    assert entries.rows.tolist() == [0, 0]
    assert entries.columns.tolist() == [0, 1]
    assert entries.values.tolist() == [4, 3]
    assert cut == 3


def test_a_batch_with_fewer_positive_activations_than_its_budget_keeps_just_those(engine):
    entries, _ = strongest_of_batch(engine, identity(2), torch.tensor([[-4.0, 0.0], [1.0, -2.0]]), 3, 0.0, ALONE)
    assert (entries.rows.tolist(), entries.columns.tolist(), entries.values.tolist()) == ([1], [0], [1])


# Repeated texts in a batch give equal activations, so ties are common.
ACTIVATIONS = arrays(np.float32, (4, 6), elements=st.floats(-3, 3, width=16) | st.sampled_from([-1.0, 0.0, 1.0, 2.0]))


@given(ACTIVATIONS, st.integers(1, 24), st.floats(0, 4), st.sampled_from(list(ENGINES)))
def test_a_hint_never_changes_which_entries_of_a_batch_are_kept(activations, budget, hint, name):
    x = torch.from_numpy(activations)
    plain, cut = strongest_of_batch(Engine(), identity(6), x, budget, 0.0, ALONE)
    hinted, hinted_cut = strongest_of_batch(ENGINES[name], identity(6), x, budget, hint, ALONE)
    assert all(torch.equal(a, b) for a, b in zip(plain, hinted, strict=True))
    # Where all fit, a hint leaves the rest unseen; a cut that is known is the same.
    assert hinted_cut in (cut, 0.0)


@given(ACTIVATIONS, st.integers(1, 24), st.sampled_from(list(ENGINES)))
def test_what_is_kept_of_a_batch_is_the_head_of_a_full_sort(activations, budget, name):
    positive = sorted((-a, i) for i, a in enumerate(activations.ravel().tolist()) if a > 0)
    expected = sorted(i for _, i in positive[:budget])
    entries, _ = strongest_of_batch(ENGINES[name], identity(6), torch.from_numpy(activations), budget, 0.0, ALONE)
    assert (entries.rows * 6 + entries.columns).tolist() == expected
    assert entries.values.tolist() == activations.ravel()[expected].tolist()


@given(ACTIVATIONS, st.integers(1, 6), st.floats(0, 4), st.sampled_from(list(ENGINES)))
def test_each_text_keeps_the_head_of_its_own_sort_whatever_the_hint(activations, k, hint, name):
    entries, ranks, _ = strongest_per_text(ENGINES[name], identity(6), torch.from_numpy(activations), k, hint)
    kept = entries.where(ranks < k)
    for row, values in enumerate(activations):
        positive = [latent for latent in np.argsort(-values, kind="stable") if values[latent] > 0][:k]
        assert kept.columns[kept.rows == row].tolist() == sorted(positive)


def test_repeated_texts_share_the_budget_in_the_order_of_the_batch(engine):
    # Three equal texts, budget 4: the two 2s of each come last, and only one of them still fits.
    x = torch.tensor([[3.0, 2.0]] * 3)
    entries, _ = strongest_of_batch(engine, identity(2), x, 4, 0.0, ALONE)
    assert list(zip(entries.rows.tolist(), entries.columns.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (2, 0)]


@pytest.mark.parametrize("n_latents", [64, 1000])
def test_a_search_in_bfloat16_finds_what_an_exact_one_finds(n_latents):
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.normal(size=(300, 96)).astype(np.float32))
    W = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(n_latents, 96)).astype(np.float32)))
    p = Parameters(W, 0.05 * torch.randn(n_latents), W, x.mean(dim=0), torch.zeros(n_latents))
    exact = Engine().above(p, x - p.b_pre, 1.5)
    assert len(exact.rows) > 1000
    for engine in (CPUEngine(half=True), CPUEngine(half=False), Engine(half=True)):
        found = engine.above(p, x - p.b_pre, 1.5)
        # An entry at the very floor may fall on either side of it.
        sure = exact.values > 1.5 + 1e-5
        there = set(zip(found.rows.tolist(), found.columns.tolist(), strict=True))
        wanted = exact.where(sure)
        assert set(zip(wanted.rows.tolist(), wanted.columns.tolist(), strict=True)) <= there
        assert len(there) - len(wanted.rows) < 5
        dense = (x - p.b_pre) @ W.T + p.b_enc
        torch.testing.assert_close(found.values, dense[found.rows, found.columns], rtol=1e-5, atol=1e-5)


# --- gradients -------------------------------------------------------------------------------------


class Jump(torch.autograd.Function):
    """JumpReLU with the estimated gradients of its paper."""

    @staticmethod
    def forward(ctx, a, threshold):
        ctx.save_for_backward(a, threshold)
        return torch.where(a > threshold, a, 0)

    @staticmethod
    def backward(ctx, dz):
        a, threshold = ctx.saved_tensors
        band = ((a - threshold).abs() < BANDWIDTH / 2).double()
        return torch.where(a > threshold, dz, 0), (-threshold / BANDWIDTH * band * dz).sum(dim=0)


class CountAbove(torch.autograd.Function):
    """How many activations exceed their threshold, with the estimated gradient of its paper."""

    @staticmethod
    def forward(ctx, a, threshold):
        ctx.save_for_backward(a, threshold)
        return (a > threshold).double().sum()

    @staticmethod
    def backward(ctx, d):
        a, threshold = ctx.saved_tensors
        band = ((a - threshold).abs() < BANDWIDTH / 2).double()
        return None, (-d / BANDWIDTH * band).sum(dim=0)


def dense_codes(variant: str, p: Parameters, x: torch.Tensor) -> list[torch.Tensor]:
    """The dense activations, (n_rows, n_latents), that each plane reconstructs from."""
    a = torch.relu((x - p.b_pre) @ p.W_enc.T + p.b_enc)

    def of_rows(k: int) -> torch.Tensor:
        best = a.topk(k, dim=1)
        return torch.zeros_like(a).scatter(1, best.indices, best.values)

    flat = a.flatten()
    best = flat.topk(K * len(x))
    of_batch = torch.zeros_like(flat).scatter(0, best.indices, best.values).view_as(a)
    match variant:
        case "batch_topk":
            return [of_batch]
        case "topk":
            return [of_rows(K)]
        case "nested_topk":  # k = 2, half of it, and no less than 1
            return [of_rows(1), of_rows(2)]
        case "matryoshka":
            first = torch.arange(a.shape[1])
            return [torch.where(first < a.shape[1] // part, of_batch, 0) for part in (16, 8, 4, 2, 1)]
        case "jumprelu":
            return [Jump.apply((x - p.b_pre) @ p.W_enc.T + p.b_enc, p.threshold)]
    raise AssertionError(variant)


def dense_loss(variant: str, p: Parameters, x: torch.Tensor, config: TrainConfig, dead: torch.Tensor) -> torch.Tensor:
    """The objective of `step`, dense and for autograd."""
    if variant == "matching_pursuit":
        return dense_pursuit_loss(p, x)
    codes = dense_codes(variant, p, x)
    errors = [x - (z @ p.W_dec + p.b_pre) for z in codes]
    loss = sum(error.square().sum() for error in errors) / len(errors) / len(x)
    if variant == "jumprelu":
        l0 = CountAbove.apply((x - p.b_pre) @ p.W_enc.T + p.b_enc, p.threshold) / len(x)
        loss = loss + config.sparsity * (l0 / K - 1) ** 2
    if config.retrieval_weight:
        coded = codes[-1] @ p.W_dec + p.b_pre
        loss = loss + config.retrieval_weight * retrieval_loss(x, coded, config.retrieval_loss, config.temperature)
    if len(dead):
        a = torch.relu((x - p.b_pre) @ p.W_enc.T + p.b_enc)[:, dead]
        best = a.topk(min(len(dead), K), dim=1)
        revived = torch.zeros(len(x), len(p.W_enc), dtype=x.dtype).scatter(1, dead[best.indices], best.values)
        missed = (errors[-1].detach() - revived @ p.W_dec)[::AUX_EVERY]
        loss = loss + config.aux_alpha * missed.square().sum() / len(missed)
    return loss


def dense_pursuit_loss(p: Parameters, x: torch.Tensor) -> torch.Tensor:
    residual = x - p.b_pre
    for _ in range(K):
        correlations = residual @ p.W_dec.T
        j = correlations.argmax(dim=1)
        z = torch.relu(correlations.gather(1, j[:, None]))
        residual = residual - z * p.W_dec[j]
    return residual.square().sum() / len(x)


def gradients_of(name, engine, p, x, config, dead, hint):
    variant = VARIANTS[name](config, K)
    if isinstance(variant, JumpReLU):
        variant.bandwidth = BANDWIDTH
    done = variant.step(engine, Parameters(*(t.detach() for t in p)), x, dead=dead, hint=hint, world=ALONE)
    g = done.gradients
    g_enc, g_dec = engine.gradients(g.W, len(p.W_enc)) if isinstance(g.W, SparseGradient) else g.W
    return done, Parameters(g_enc, g.b_enc, g_dec, g.b_pre, g.threshold)


def assert_autograd(name, engine, config, dead, hint=0.0, b_enc=0.0):
    for seed in range(4):
        p, x = random_parameters(seed), random_texts(seed)
        with torch.no_grad():
            p.b_enc.add_(b_enc)
        loss = dense_loss(name, p, x, config, dead)
        expected = torch.autograd.grad(loss, p, allow_unused=True)
        done, found = gradients_of(name, engine, p, x, config, dead, hint)
        assert float(done.loss) == pytest.approx(loss.item(), rel=1e-12)
        for field, gradient, autograds in zip(Parameters._fields, found, expected, strict=True):
            if autograds is None:  # not part of this variant's objective
                assert not gradient.any(), field
                continue
            assert autograds.norm() > 0, field
            torch.testing.assert_close(
                gradient, autograds, rtol=1e-9, atol=1e-11, msg=lambda m, f=field: f"{name}, {f}: {m}"
            )


@pytest.mark.parametrize("name", list(VARIANTS))
@pytest.mark.parametrize("hint", [0.0, 0.5, 100.0], ids=["no hint", "low hint", "hint far too high"])
def test_the_gradients_of_every_variant_are_autograds(name, engine, hint):
    assert_autograd(name, engine, TrainConfig(steps=1), NONE_DEAD, hint)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "matching_pursuit"])
@pytest.mark.parametrize("dead", [[4], [0, 3, 5, 7, 11, 31]], ids=["one dead", "more dead than may answer a text"])
def test_the_gradients_hold_with_an_auxiliary_loss(name, engine, dead):
    assert_autograd(name, engine, TrainConfig(steps=1, aux_alpha=0.5), torch.tensor(dead))


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "matching_pursuit"])
@pytest.mark.parametrize("kind", ["kl", "infonce"])
def test_the_gradients_hold_with_a_retrieval_loss(name, engine, kind):
    assert_autograd(name, engine, TrainConfig(steps=1, retrieval_loss=kind, retrieval_weight=0.7), NONE_DEAD)


@pytest.mark.parametrize("name", ["batch_topk", "topk", "matryoshka"])
def test_the_gradients_hold_when_fewer_latents_are_positive_than_k_asks_for(name, engine):
    assert_autograd(name, engine, TrainConfig(steps=1), NONE_DEAD, b_enc=-5.0)


def test_the_rows_that_fall_short_of_a_hint_are_looked_at_again(engine):
    # The hint of 2.5 finds enough in the first text, nothing in the second.
    x = torch.tensor([[3.0, 4.0, 1.0], [0.5, 0.25, 2.0]])
    entries, ranks, _ = strongest_per_text(engine, identity(3), x, 2, 2.5)
    kept = entries.where(ranks < 2)
    assert list(zip(kept.rows.tolist(), kept.columns.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 2)]


def test_auxk_gives_dead_latents_a_gradient_and_nothing_else_does(engine):
    # The encoder of latents 0 to 3 is weak, so that they never win a place among the strongest.
    p, x = random_parameters(0), random_texts(0, n=40 * AUX_EVERY)
    with torch.no_grad():
        p.W_enc[:4] *= 1e-3
        p.b_enc[:4] = 1e-3
    config = TrainConfig(steps=1)
    _, without = gradients_of("batch_topk", engine, p, x, config, NONE_DEAD, 0.0)
    _, revived = gradients_of("batch_topk", engine, p, x, config, torch.arange(4), 0.0)
    assert not without.W_enc[:4].any()
    assert (revived.W_enc[:4].norm(dim=1) > 0).all()
    torch.testing.assert_close(revived.W_dec[4:], without.W_dec[4:])


def test_a_step_tells_its_loss_and_which_latents_fired(engine):
    # Identity encoder and no biases: activations are x; k=1 on two rows keeps 4 and 3 of the first latent.
    x = torch.tensor([[4.0, 0.5], [3.0, 2.0]])
    done = VARIANTS["batch_topk"](TrainConfig(steps=1), 1).step(
        engine, identity(2), x, dead=NONE_DEAD, hint=0.0, world=ALONE
    )
    assert done.fired.tolist() == [True, False]
    # What is left over: 0.5 in the first row, 2 in the second; (0.25 + 4) / 2 texts.
    assert float(done.loss) == pytest.approx(4.25 / 2)


def test_pursuit_explains_what_is_left():
    # (3, 4): first axis 1 takes 4, then axis 0 takes 3; the diagonal would take 4.95 first.
    W = torch.eye(2)
    latents, values, residual = choose(W, torch.tensor([[3.0, 4.0]]), 2)
    assert (latents[:, 0].tolist(), values[:, 0].tolist(), residual.tolist()) == ([1, 0], [4, 3], [[0, 0]])
    diagonal = torch.cat([W, torch.full((1, 2), 0.5**0.5)])
    latents, values, residual = choose(diagonal, torch.tensor([[3.0, 4.0]]), 2)
    # 4.95 of the diagonal leaves (-0.5, 0.5), of which axis 1 takes 0.5.
    assert latents[:, 0].tolist() == [2, 1]
    torch.testing.assert_close(values[:, 0], torch.tensor([7 / 2**0.5, 0.5]))
    torch.testing.assert_close(residual, torch.tensor([[-0.5, 0.0]]))


# --- the update ------------------------------------------------------------------------------------


def test_three_updates_are_three_steps_of_torchs_adam(engine):
    # Autograd, no gradient along the directions themselves, torch's plain Adam, directions back to length 1.
    config = TrainConfig(steps=1)
    p = Parameters(*(t.detach().clone() for t in random_parameters(0)))
    moments = {f"{n}.{m}": torch.zeros_like(t) for n, t in p._asdict().items() for m in ("mean", "square")}
    obvious = Parameters(*(t.clone().requires_grad_() for t in p))
    adam = torch.optim.Adam(obvious, lr=0.01)
    for number in range(3):
        x = random_texts(number)
        done = VARIANTS["batch_topk"](config, K).step(engine, p, x, dead=NONE_DEAD, hint=0.0, world=ALONE)
        step = Adam(0.01, number + 1)
        engine.update(p, moments, done.gradients.W, step, ALONE)
        for name in ("b_enc", "b_pre"):
            step.apply_(getattr(p, name), getattr(done.gradients, name), moments[f"{name}.mean"],
                        moments[f"{name}.square"])  # fmt: skip
        adam.zero_grad()
        dense_loss("batch_topk", obvious, x, config, NONE_DEAD).backward()
        with torch.no_grad():
            W = obvious.W_dec
            W.grad -= (W.grad * W).sum(dim=1, keepdim=True) * W
            adam.step()
            W.div_(W.norm(dim=1, keepdim=True))
    for name, fast, slow in zip(Parameters._fields, p, obvious, strict=True):
        torch.testing.assert_close(fast, slow.detach(), rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


def test_both_engines_rank_alike_and_ties_keep_their_order():
    entries = Entries.of(
        torch.tensor([0, 0, 0, 2, 2, 2]), torch.arange(6), torch.tensor([1.0, 3.0, 2.0, 5.0, 5.0, 7.0])
    )
    for engine in ENGINES.values():
        assert engine.ranks(entries, 3).tolist() == [2, 0, 1, 1, 2, 0]
