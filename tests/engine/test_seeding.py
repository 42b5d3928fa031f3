"""Everything random in a fit starts from random_state."""

import numpy as np
import torch

from sklearn_emma.engine.seeding import draw_seed, make_generator


def test_a_number_always_gives_the_same_seed_and_an_instance_moves_on():
    assert draw_seed(3) == draw_seed(3) != draw_seed(4)
    instance = np.random.RandomState(3)
    first = draw_seed(instance)
    assert first == draw_seed(3)
    assert draw_seed(instance) != first


def test_generators_of_one_seed_agree_and_the_global_one_is_untouched():
    before = torch.random.get_rng_state()
    first, second = (torch.rand(5, generator=make_generator(9)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_streams_of_a_seed_are_independent():
    first, second = (torch.rand(5, generator=make_generator(9, stream=k)) for k in (0, 1))
    assert torch.equal(first, torch.rand(5, generator=make_generator(9)))
    assert not torch.equal(first, second)
    # nor is one the first of another seed
    assert not torch.equal(second, torch.rand(5, generator=make_generator(10)))
