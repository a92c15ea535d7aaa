import pytest
from hypothesis import given
from hypothesis import strategies as st

from tree_world.agents.constants import Learned, Told

AGES = st.lists(st.integers(1, 3000), max_size=30)
DISTANCES = st.lists(st.floats(0.1, 100), max_size=30)


@given(st.integers(1, 2000), AGES)
def test_regrowth_is_never_taken_for_longer_than_patience_allows(truth, ages):
    learned = Learned(first_regrowth=1, patience=1.25)
    for age in ages:
        learned.saw_again(age, bears=age >= truth)
    empty = max([age for age in ages if age < truth], default=0)
    full = min([age for age in ages if age >= truth], default=None)
    assert learned.regrowth_steps > empty  # nothing is tried that was in vain
    if full is not None:
        assert learned.regrowth_steps <= full


@given(st.floats(1, 50), DISTANCES)
def test_the_reach_of_the_mouth_lies_between_what_fed_and_what_did_not(truth, distances):
    learned = Learned()
    for distance in distances:
        learned.saw(distance, bears=True, ate=distance <= truth)
    assert learned.mouth_reach <= truth
    assert learned.keep_off >= truth
    assert learned.mouth_reach == max([d for d in distances if d <= truth], default=0.0)
    assert learned.keep_off == min([d for d in distances if d > truth], default=float("inf"))
    assert learned.sight_reach == max([1.0, *distances])


def test_nothing_is_learned_of_the_mouth_from_empty_trees():
    learned = Learned()
    learned.saw(3.0, bears=False, ate=False)
    learned.saw(30.0, bears=False, ate=True)
    assert (learned.mouth_reach, learned.keep_off) == (0.0, float("inf"))


def test_fruit_is_counted_and_weighed_where_it_does_good():
    learned = Learned(first_fruit=20.0)
    assert (learned.fruit_health, learned.max_fruit) == (20.0, 1)
    for number in (1, 2, 3):
        learned.ate(25.0, number)
    learned.ate(-25.0, 4)
    assert (learned.fruit_health, learned.max_fruit) == (25.0, 3)


def test_who_is_told_learns_nothing():
    told = Told()
    told.saw(50.0, True, True)
    told.saw_again(3, True)
    told.ate(7.0, 9)
    assert told == Told()
    assert told.keep_off == told.mouth_reach == 10.0


@pytest.mark.parametrize("name", ["regrowth_steps", "fruit_health", "max_fruit", "sight_reach"])
def test_constants_are_positive(name):
    with pytest.raises(ValueError, match=name):
        Told(**{name: 0})
