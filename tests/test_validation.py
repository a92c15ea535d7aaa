import numpy as np
import pytest
import torch

from tree_world.validation import as_points, as_unit_vectors, make_generator


def test_a_generator_is_passed_through_and_a_seed_makes_one():
    generator = torch.Generator()
    assert make_generator(generator) is generator
    first, second = (torch.rand(3, generator=make_generator(np.int64(5))) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("given", [[1.0, 2.0], np.array([1, 2]), torch.tensor([1.0, 2.0]).double()])
def test_points_become_float32(given):
    points = as_points(given, 2)
    assert points.dtype == torch.float32
    assert points.tolist() == [1.0, 2.0]


def test_errors_name_the_argument_and_what_was_given():
    with pytest.raises(ValueError, match=r"here must have shape \(\.\.\., 3\).*\(4, 2\) was given"):
        as_points(np.zeros((4, 2)), 3, "here")
    with pytest.raises(ValueError, match=r"wind must be a unit vector, but one of length 2"):
        as_unit_vectors([0.0, 2.0], 2, "wind")


@pytest.mark.parametrize("length", [0.9, 0.998, 1.002, 1.1])
def test_a_heading_must_have_length_one_to_a_thousandth(length):
    with pytest.raises(ValueError, match="unit vector"):
        as_unit_vectors([length, 0.0], 2)


@pytest.mark.parametrize("length", [0.9995, 1.0, 1.0005])
def test_rounding_does_not_spoil_a_heading(length):
    assert as_unit_vectors([length, 0.0], 2).tolist() == pytest.approx([length, 0.0])
