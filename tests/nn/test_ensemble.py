"""A soft maximum of potentials is a potential, each member in coordinates of its own."""

import math

import pytest
import torch

from sklearn_emma.nn import DAEEnergy, EnergyEnsemble, SoftClip

N_FEATURES = 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def make_member(seed=0, n_prototypes=0, sizes=(6, 5)):
    energy = DAEEnergy(N_FEATURES, sizes, "tanh", generator(seed), n_prototypes).double()
    with torch.no_grad():
        for i, parameter in enumerate(energy.parameters()):
            parameter.add_(0.5 * normal(*parameter.shape, seed=100 + i))
    return energy.requires_grad_(False)


def make_coordinates(limit=math.inf, seed=0):
    soften = SoftClip(N_FEATURES, limit)
    soften.center = 10.0 * normal(N_FEATURES, seed=seed)
    soften.scale = 0.1 + 3.0 * normal(N_FEATURES, seed=seed + 1).abs()
    return soften


def make_ensemble(limit=math.inf):
    """Three members, with and without prototypes, that share neither coordinates nor scale."""
    members = [make_member(0), make_member(1, n_prototypes=4), make_member(2, sizes=(8,))]
    coordinates = [make_coordinates(limit, seed=10 * k) for k in range(3)]
    ensemble = EnergyEnsemble(members, coordinates)
    # medians and quartiles of their potentials, as training sets them
    potentials = ensemble.potentials(samples(200))
    low, ensemble.level, high = potentials.quantile(
        torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64), dim=0
    )
    ensemble.spread = high - low
    return ensemble


def unusual(energy, x):
    """Return how unusual each member finds samples, one column per member."""
    return torch.stack(
        [
            (member.potential(see(x)) - level) / spread
            for member, see, level, spread in zip(
                energy.members, energy.coordinates, energy.level, energy.spread, strict=True
            )
        ],
        1,
    )


def samples(n=30):
    return 12.0 * normal(n, N_FEATURES, seed=50)


limits = pytest.mark.parametrize("limit", [2.0, math.inf])


@limits
def test_gradient_is_the_derivative_of_the_potential(limit):
    energy, x = make_ensemble(limit), samples().requires_grad_()
    (derivative,) = torch.autograd.grad(energy.potential(x).sum(), x)
    torch.testing.assert_close(energy.gradient(x.detach()), derivative)


@limits
def test_potential_is_the_integral_of_the_gradient_along_any_path(limit):
    energy = make_ensemble(limit)
    start, end = samples(2)
    time = torch.linspace(0.0, 1.0, 20001, dtype=torch.float64).unsqueeze(1)
    bend = torch.tensor([5.0, -9.0, 2.0], dtype=torch.float64)
    path = start + time * (end - start) + torch.sin(math.pi * time) * bend
    field = energy.gradient(path)
    work = (0.5 * (field[1:] + field[:-1]) * (path[1:] - path[:-1])).sum()
    difference = energy(end[None]) - energy(start[None])
    # the slope of a coordinate bends at the limit
    torch.testing.assert_close(work, difference.squeeze(), rtol=1e-5, atol=1e-5)


@limits
def test_one_member_is_that_member_unless_it_is_given_another_scale(limit):
    member, see = make_member(n_prototypes=4), make_coordinates(limit)
    energy, x = EnergyEnsemble([member], [see]), samples()
    torch.testing.assert_close(energy.potential(x), member.potential(see(x)))
    torch.testing.assert_close(energy.potentials(x), member.potential(see(x))[:, None])
    torch.testing.assert_close(energy.reconstruct(x), see.inverse(member.reconstruct(see(x))))
    norm = (member.reconstruct(see(x)) - see(x)).square().sum(1)
    torch.testing.assert_close(energy.reconstruction_error(x), norm)
    energy.level = torch.tensor([3.0], dtype=torch.float64)
    energy.spread = torch.tensor([0.2], dtype=torch.float64)
    torch.testing.assert_close(energy.potential(x), (member.potential(see(x)) - 3.0) / 0.2)
    torch.testing.assert_close(energy.reconstruct(x), see.inverse(member.reconstruct(see(x))))


def test_in_plain_coordinates_one_member_is_left_entirely_as_it_is():
    member, x = make_member(), normal(20, N_FEATURES)
    energy = EnergyEnsemble([member], [SoftClip(N_FEATURES)])
    for method in ("potential", "gradient", "reconstruct", "forward"):
        torch.testing.assert_close(getattr(energy, method)(x), getattr(member, method)(x))


def test_potential_is_the_logarithm_of_the_mean_of_exponentials():
    energy, x = make_ensemble(2.0), samples()
    expected = unusual(energy, x).exp().mean(1).log()
    torch.testing.assert_close(energy.potential(x), expected)
    torch.testing.assert_close(energy(x), expected)
    parts = [
        member.potential(see(x))
        for member, see in zip(energy.members, energy.coordinates, strict=True)
    ]
    torch.testing.assert_close(energy.potentials(x), torch.stack(parts, 1))


def test_a_sample_is_about_as_unusual_as_the_member_that_finds_it_most_unusual_says():
    energy, x = make_ensemble(), samples(300)
    most = unusual(energy, x).max(1).values
    potential = energy.potential(x)
    assert (potential <= most + 1e-9).all()
    assert (potential >= most - math.log(3.0) - 1e-9).all()


def test_members_that_agree_count_like_one_of_them():
    member, see, x = make_member(n_prototypes=4), make_coordinates(), samples()
    one, three = EnergyEnsemble([member], [see]), EnergyEnsemble([member] * 3, [see] * 3)
    for method in ("potential", "gradient", "reconstruct", "reconstruction_error"):
        torch.testing.assert_close(getattr(three, method)(x), getattr(one, method)(x))


def test_no_member_makes_up_for_one_in_which_a_sample_stands_out():
    energy, x = make_ensemble(), samples()
    energy.level = torch.tensor([0.0, 0.0, 1e6], dtype=torch.float64)  # likelier than any
    without = EnergyEnsemble(energy.members[:2], energy.coordinates[:2])
    without.spread = energy.spread[:2]
    loss = math.log(3.0 / 2.0)
    torch.testing.assert_close(energy.potential(x), without.potential(x) - loss)
    torch.testing.assert_close(energy.gradient(x), without.gradient(x))
    torch.testing.assert_close(energy.reconstruct(x), without.reconstruct(x))


def test_a_sample_is_denoised_by_the_members_that_find_it_unusual():
    energy, x = make_ensemble(), samples()
    share = unusual(energy, x).softmax(1)
    denoised, error = 0.0, 0.0
    for k, (member, see) in enumerate(zip(energy.members, energy.coordinates, strict=True)):
        z = (x - see.center) / see.scale
        sample = member.reconstruct(z) * see.scale + see.center
        denoised = denoised + share[:, k : k + 1] * sample
        error = error + (member.reconstruct(z) - z).square().sum(1) / 3.0
    torch.testing.assert_close(energy.reconstruct(x), denoised)
    torch.testing.assert_close(energy.reconstruction_error(x), error)


def test_samples_as_far_as_numbers_go_have_finite_potentials_and_gradients():
    energy = make_ensemble(3.0)
    x = torch.tensor([[1e300, -1e300, 0.0], [math.inf, 1.0, 1.0]], dtype=torch.float64)
    for method in ("potential", "gradient", "reconstruct", "reconstruction_error"):
        assert getattr(energy, method)(x).isfinite().all()


def test_coordinates_and_scales_are_saved_with_the_module():
    energy = make_ensemble(2.0)
    copy = EnergyEnsemble(
        [make_member(7), make_member(8, n_prototypes=4), make_member(9, sizes=(8,))],
        [SoftClip(N_FEATURES, 2.0) for _ in range(3)],
    ).double()
    copy.load_state_dict(energy.state_dict())
    assert torch.equal(copy.potential(samples()), energy.potential(samples()))
