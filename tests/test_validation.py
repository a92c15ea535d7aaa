import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from tree_world.checks import (
    as_deviations,
    as_points,
    as_senses,
    as_unit_vectors,
    checked_number,
    checked_numbers,
    make_generator,
    positive_distance,
    real_number,
    whole_number,
)


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


# --- what comes from elsewhere -------------------------------------------------------------------


class Frame:
    """Gives itself away as an array, as a data frame does."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


PLAIN = [[1.0, 2.0], [3.0, 4.0]]
ARRAY = np.array(PLAIN)
READ_ONLY = ARRAY.copy()
READ_ONLY.setflags(write=False)
SAME = {
    "tuples": ((1, 2), (3, 4)),
    "frame": Frame(ARRAY),
    "frame of objects": Frame(ARRAY.astype(object)),
    "big-endian": ARRAY.astype(">f4"),
    "big-endian whole": ARRAY.astype(">i2"),
    "negative strides": ARRAY[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran order": np.asfortranarray(ARRAY),
    "read only": READ_ONLY,
    "extended": ARRAY.astype(np.longdouble),
    "half": ARRAY.astype(np.float16),
    "unsigned": ARRAY.astype(np.uint64),
    "narrow": ARRAY.astype(np.int8),
    "objects": np.array([[Fraction(1), Decimal(2)], [np.int8(3), 4.0]], dtype=object),
    "masked nowhere": np.ma.masked_array(ARRAY, mask=False),
    "tensors": [torch.tensor([1.0, 2.0]), torch.tensor([3, 4])],
    "tensors of one": [[torch.tensor(1.0), 2], [3, torch.tensor(4.0, requires_grad=True)]],
    "arrays": [ARRAY[0], ARRAY[1].astype(">f8")],
    "bfloat16": torch.tensor(PLAIN, dtype=torch.bfloat16),
    "sparse": torch.tensor(PLAIN).to_sparse(),
}


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.filterwarnings("error")
def test_what_is_the_same_without_loss_is_taken(kind):
    assert as_points(SAME[kind], 2).tolist() == PLAIN


WRONG = {
    "text": "north",
    "texts": [["1.0", "2.0"]],
    "text among objects": np.array([["1.0", 2.0]], dtype=object),
    "None": None,
    "None inside": [[None, 1.0]],
    "complex": np.array([[1.0, 2.0j]]),
    "complex tensor": torch.tensor([[1.0, 2.0j]]),
    "a complex number": [[1.0, 2j]],
    "masked": np.ma.masked_array(ARRAY, mask=[[False, True], [False, False]]),
    "dates": np.array([["2020-01-01", "2020-01-02"]], dtype="datetime64[D]"),
    "dictionary": {"x": 1.0},
    "set": {1.0, 2.0},
    "generator": (number for number in (1.0, 2.0)),
    "truth": True,
    "truth of NumPy": np.bool_(True),
    "truth of PyTorch": torch.tensor(True),
    "ragged": [[1.0, 2.0], [3.0]],
    "ragged tensors": [torch.ones(2), torch.ones(3)],
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("taken", [as_points, as_senses])
def test_what_is_no_array_of_numbers_is_refused_by_name(kind, taken):
    with pytest.raises(ValueError, match=r"^wind must be"):
        taken(WRONG[kind], 2, "wind")


def test_gradients_pass_through_lists_of_tensors():
    place = torch.tensor([1.0, 2.0], requires_grad=True)
    as_points([place, torch.zeros(2)], 2).sum().backward()
    assert place.grad.tolist() == [1.0, 1.0]


def test_what_single_precision_cannot_hold_is_told_from_what_is_infinite():
    with pytest.raises(
        ValueError, match=r"entry \[1\] is 1e\+300, which is too large for torch.fl"
    ):
        as_points([0.0, 1e300], 2)
    with pytest.raises(ValueError, match=r"entry \[1\] is inf\. Remove"):
        as_points([0.0, np.inf], 2)
    assert as_points([0.0, 1e300], 2, dtype=torch.float64).tolist() == [0.0, 1e300]
    with pytest.raises(ValueError, match=r"1e-300 is beyond what torch.float32 can hold"):
        as_deviations(1e-300, torch.Size([3, 2]))


def test_a_sense_is_told_from_a_place_and_from_a_direction():
    with pytest.raises(ValueError, match=r"metres for each axis of the world.*list of 2 numbers"):
        as_points([1.0], 2)
    for taken, told in ((as_senses, "2 dimensions of senses"), (as_unit_vectors, "unit vector")):
        with pytest.raises(ValueError, match=f"must have shape.*{told}") as caught:
            taken([1.0], 2)
        assert not re.search("metres|coordinate", str(caught.value))
    with pytest.raises(ValueError, match="must have shape") as caught:
        as_unit_vectors([1.0], 2)
    assert "sense" not in str(caught.value)


# --- deviations ----------------------------------------------------------------------------------


def test_deviations_are_one_or_one_for_each_axis_or_as_they_are_broadcast():
    for given, expected in (
        (2.0, [[2.0, 2.0]] * 3),
        ([2.0, 3.0], [[2.0, 3.0]] * 3),
        ([[1.0], [2.0], [3.0]], [[1.0] * 2, [2.0] * 2, [3.0] * 2]),
    ):
        assert as_deviations(given, torch.Size([3, 2])).tolist() == expected
    assert as_deviations([2.0, 3.0], torch.Size([1, 2])).tolist() == [[2.0, 3.0]]
    assert as_deviations([[2.0, 3.0]], torch.Size([2, 2])).tolist() == [[2.0, 3.0]] * 2


def test_deviations_that_could_be_meant_for_places_or_for_axes_are_refused():
    with pytest.raises(ValueError, match=r"could be meant for the 2 places or for the 2 axes"):
        as_deviations([2.0, 3.0], torch.Size([2, 2]))
    with pytest.raises(ValueError, match=r"for one deviation for each place \(3, 1\)"):
        as_deviations([1.0, 2.0, 3.0], torch.Size([3, 2]))
    # In a batch of two, one for each of its places, or as it is broadcast over the batch?
    given = [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(ValueError, match=r"place give shape \(2, 2, 1\), .* axis \(1, 2, 2\)"):
        as_deviations(given, torch.Size([2, 2, 2]))
    assert as_deviations(given, torch.Size([3, 2, 2])).tolist() == [given] * 3
    assert as_deviations([given], torch.Size([2, 2, 2])).tolist() == [given] * 2


# --- single numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        25,
        25.0,
        np.int8(25),
        np.float16(25),
        np.longdouble(25),
        np.array(25),
        torch.tensor(25),
        torch.tensor(25.0, requires_grad=True),
        Fraction(25),
        Decimal(25),
    ],
)
def test_numbers_come_in_any_precision_and_are_those_of_python(given):
    for number in (real_number("it", given), positive_distance("it", given)):
        assert type(number) is float
        assert number == 25.0


@pytest.mark.parametrize(
    "given",
    [
        True,
        np.True_,
        torch.tensor(True),
        "25",
        b"25",
        None,
        25j,
        np.complex64(25),
        [25],
        np.ones(1),
        torch.ones(1),
        np.ma.masked,
        {},
    ],
)
def test_what_is_no_number_is_refused_by_name(given):
    for taken in (real_number, whole_number, positive_distance):
        for kind in (TypeError, ValueError):
            with pytest.raises(kind, match=r"^it must be a"):
                taken("it", given)


@pytest.mark.parametrize(
    ("kind", "right", "wrong", "told"),
    [
        ("any", -1.0, None, "be a real number"),
        ("positive", 1e-9, 0.0, "be positive and finite, not 0.0. Give"),
        ("positive", 1e9, math.inf, "be positive and finite, not inf. Give"),
        ("distance", 25, math.nan, "be a positive, finite distance in metres, not nan. Give"),
        ("share", Fraction(1, 2), 1.0, "lie strictly between 0 and 1, not 1.0. For"),
        ("share", 0.999, 0.0, "lie strictly between 0 and 1, not 0.0. For"),
    ],
)
def test_a_number_is_of_its_kind(kind, right, wrong, told):
    assert checked_number("it", right, kind) == right
    assert checked_numbers({"it": right}, {"it": kind}) == {"it": right}
    for given, table in ((wrong, kind), (wrong, f"{kind}?")):
        if given is None and table.endswith("?"):
            assert checked_numbers({"it": None}, {"it": table}) == {"it": None}
            continue
        with pytest.raises(ValueError, match=f"^it must {re.escape(told)}"):
            checked_numbers({"it": given}, {"it": table})


def test_of_many_numbers_the_first_that_is_wrong_is_named():
    kinds = {"reach": "distance", "part": "share", "way": "distance?"}
    given = {"reach": 1, "part": 2, "way": -1, "more": "not looked at"}
    with pytest.raises(ValueError, match=r"^part must"):
        checked_numbers(given, kinds)
    given["part"] = 0.5
    with pytest.raises(ValueError, match=r"^way must"):
        checked_numbers(given, kinds)


@pytest.mark.parametrize("given", [3, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3)])
def test_whole_numbers_come_in_any_width(given):
    number = whole_number("it", given, 3)
    assert type(number) is int
    assert number == 3
    with pytest.raises(ValueError, match="it must be a whole number of at least 4, not 3"):
        whole_number("it", given, 4)


@pytest.mark.parametrize("given", [2.5, 2.0, np.float32(2.0), torch.tensor(2.0), Fraction(2)])
def test_what_is_not_of_a_whole_kind_is_no_count(given):
    with pytest.raises(ValueError, match=r"^it must be a whole number, not"):
        whole_number("it", given)


@pytest.mark.parametrize("seed", [1.0, True, None, "0", [0], np.random.default_rng(0)])
def test_only_whole_numbers_and_generators_of_pytorch_are_seeds(seed):
    with pytest.raises(TypeError, match=r"seed must be a whole number or a torch\.Generator"):
        make_generator(seed)


@pytest.mark.parametrize("seed", [-1, 2**63, np.int64(-5)])
def test_a_seed_must_fit(seed):
    with pytest.raises(ValueError, match="seed must lie between"):
        make_generator(seed)
