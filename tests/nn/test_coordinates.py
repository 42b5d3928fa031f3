"""Coordinates: columns on a common scale, logarithmic far out, and back again."""

import math

import pytest
import torch

from sklearn_emma.nn import SoftClip

CENTER = torch.tensor([0.0, 100.0, -3.0], dtype=torch.float64)
SCALE = torch.tensor([1.0, 20.0, 0.01], dtype=torch.float64)
limits = pytest.mark.parametrize("limit", [0.5, 5.0, math.inf])


def make_clip(limit):
    soften = SoftClip(3, limit)
    soften.center, soften.scale = CENTER, SCALE
    return soften


def samples(scales, n=200):
    """Return samples that are so many scales, at most, from the center."""
    u = 2.0 * torch.rand(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return CENTER + scales * (u - 1.0) * SCALE


def test_without_center_and_scale_small_values_stay_as_they_are():
    x = torch.tensor([[0.0, -1.5, 3.0]])
    assert torch.equal(SoftClip(3, limit=3.0)(x), x)


@limits
def test_values_within_the_limit_are_standardized_and_no_more(limit):
    x = samples(min(limit, 1e3))
    torch.testing.assert_close(make_clip(limit)(x), (x - CENTER) / SCALE)


def test_values_beyond_the_limit_count_logarithmically():
    soften = make_clip(5.0)
    for scales in (5.0, 6.0, 30.0, 1e6):
        expected = 5.0 + math.log(1.0 + scales - 5.0)
        for sign in (-1.0, 1.0):
            z = soften((CENTER + sign * scales * SCALE)[None])
            torch.testing.assert_close(z, torch.full_like(z, sign * expected))


@limits
def test_further_out_is_further_out(limit):
    u = torch.logspace(-3, 12, 400, dtype=torch.float64)
    u = torch.cat([-u.flip(0), u])
    assert (make_clip(limit)(CENTER + u[:, None] * SCALE).diff(dim=0) > 0).all()


@limits
@pytest.mark.parametrize("scales", [0.3, 4.0, 50.0, 1e9])
def test_inverse_undoes_the_coordinates(limit, scales):
    soften, x = make_clip(limit), samples(scales)
    torch.testing.assert_close(soften.inverse(soften(x)), x)
    z = samples(min(scales, 20.0)) - CENTER
    z = z / SCALE
    torch.testing.assert_close(soften(soften.inverse(z)), z)


@limits
@pytest.mark.parametrize("scales", [0.3, 4.0, 50.0, 1e9])
def test_slope_is_the_derivative(limit, scales):
    soften, x = make_clip(limit), samples(scales).requires_grad_()
    (derivative,) = torch.autograd.grad(soften(x).sum(), x)
    torch.testing.assert_close(soften.slope(x.detach()), derivative)


def test_slope_does_not_jump_at_the_limit():
    soften = make_clip(5.0)
    inside, outside = (soften.slope((CENTER + u * SCALE)[None]) for u in (5 - 1e-9, 5 + 1e-9))
    torch.testing.assert_close(inside, outside)
    torch.testing.assert_close(inside, 1.0 / SCALE[None])


@limits
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_values_have_finite_coordinates_and_slopes(limit, dtype):
    largest = torch.finfo(dtype).max
    x = torch.tensor([[1.0], [-1.0]], dtype=dtype) * torch.tensor([1e30, largest, math.inf])
    soften = make_clip(limit).to(dtype)
    z = soften(x)
    assert z.isfinite().all()
    assert torch.equal(z.sign(), x.sign())
    assert z.square().isfinite().all()
    assert soften.slope(x).isfinite().all()
    assert soften.inverse(z).isfinite().all()


@limits
def test_bounding_samples_draws_back_only_what_is_beyond_reach(limit):
    soften, x = make_clip(limit), samples(1e9)
    assert torch.equal(soften.bound(x), x)
    far = CENTER + torch.tensor([[1e20], [-1e200], [math.inf]], dtype=torch.float64) * SCALE
    bounded = soften.bound(far)
    assert bounded.square().isfinite().all()
    assert (bounded.abs() < far.abs()).all()
    torch.testing.assert_close(soften(bounded), soften(far))


def test_center_and_scale_are_saved_with_the_module():
    copy = SoftClip(3, 5.0).double()
    copy.load_state_dict(make_clip(5.0).state_dict())
    assert torch.equal(copy(samples(50.0)), make_clip(5.0)(samples(50.0)))
    assert not list(copy.parameters())
