import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.agents.constants import Learned, Threshold, Told

# What trees have shown: which tree, what number, and whether that was below what is sought.
SHOWN = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9), st.booleans()), max_size=12)


def threshold_of(shown):
    threshold = Threshold()
    for tree, number, below in shown:
        (threshold.is_below if below else threshold.is_not_below)(tree, float(number))
    return threshold


def says(shown):
    """What each tree says: the greatest number that was below, and the least that was not."""
    below, beyond = {}, {}
    for tree, number, is_below in shown:
        if is_below:
            below[tree] = max(number, below.get(tree, 0))
        else:
            beyond[tree] = min(number, beyond.get(tree, math.inf))
    return list(below.values()), list(beyond.values())


@given(SHOWN)
@settings(max_examples=200)
def test_no_threshold_contradicts_fewer_trees(shown):
    below, beyond = says(shown)

    def contradictions(number):
        """How many trees err, if what is sought is just below a number."""
        return sum(one >= number for one in below) + sum(one < number for one in beyond)

    least, most = threshold_of(shown).bounds
    assert least < most
    assert most in [*beyond, math.inf]
    assert least in [*below, 0]
    fewest = min(contradictions(number / 2) for number in [*range(1, 22), math.inf])
    assert contradictions(most) == fewest
    # Between the bounds nothing is known, so that every number there is as good.
    assert not any(least < one < most for one in below)
    assert contradictions((least + min(most, 20)) / 2) == fewest or least + 1 >= most


@given(SHOWN, st.randoms(use_true_random=False))
def test_it_does_not_matter_in_which_order_trees_have_their_say(shown, random):
    shuffled = list(shown)
    random.shuffle(shuffled)
    assert threshold_of(shuffled).bounds == threshold_of(shown).bounds
    assert threshold_of([*shown, *shown]).bounds == threshold_of(shown).bounds


def test_one_tree_that_errs_often_has_one_say():
    honest = [(tree, 5 + tree, True) for tree in range(3)] + [(tree, 9, False) for tree in (0, 1)]
    assert threshold_of(honest).bounds == (7.0, 9.0)
    assert threshold_of([*honest, *[(4, 1, False)] * 20]).bounds == (7.0, 9.0)
    assert threshold_of([*honest, *[(tree, 1, False) for tree in range(9)]]).bounds == (0.0, 1.0)


@given(st.integers(10, 2000), st.lists(st.integers(1, 3000), max_size=20))
def test_what_honest_trees_show_of_regrowth_is_never_contradicted(truth, ages):
    learned = Learned()
    for tree, age in enumerate(ages):
        learned.saw_again(tree, age, bears=age >= truth)
    in_vain = max([age for age in ages if age < truth], default=0)
    bore = min([age for age in ages if age >= truth], default=None)
    assert learned.regrowth_is_known == (bore is not None)
    if bore is None:
        assert learned.regrowth_steps == learned.first_regrowth
    else:
        assert in_vain < learned.regrowth_steps <= bore
        assert learned.regrowth_steps >= learned.boldness * bore


def test_regrowth_is_not_counted_on_before_a_tree_bore_again():
    learned = Learned(first_regrowth=5000)
    learned.saw_again(0, 900, bears=False)
    assert (learned.regrowth_steps, learned.regrowth_is_known) == (5000, False)
    learned.saw_again(1, 1000, bears=True)
    assert (learned.regrowth_steps, learned.regrowth_is_known) == (1000, True)


def test_the_bolder_the_sooner_a_tree_is_tried_again():
    def waits(boldness, *in_vain):
        learned = Learned(boldness=boldness)
        learned.saw_again(0, 1000, bears=True)
        for tree, age in enumerate(in_vain, start=1):
            learned.saw_again(tree, age, bears=False)
        return learned.regrowth_steps

    assert [waits(boldness) for boldness in (0.5, 0.8, 1.0)] == [500, 800, 1000]
    assert waits(0.5, 480) == 960
    assert waits(0.5, 999) == 1000  # not before what was in vain, nor after what was not


@given(st.integers(1, 50), st.lists(st.integers(1, 100), max_size=20))
def test_the_reach_of_the_mouth_lies_between_what_fed_and_what_did_not(truth, distances):
    learned = Learned()
    for tree, distance in enumerate(distances):
        learned.saw(tree, distance, bears=True, fed=distance < truth)
    fed = [distance for distance in distances if distance < truth]
    did_not = [distance for distance in distances if distance >= truth]
    assert learned.mouth_reach == max(fed, default=0.0)
    assert learned.keep_off == min(did_not, default=math.inf)
    assert learned.sight_reach == max([1.0, *distances])


def test_meals_that_are_laid_to_the_wrong_tree_move_no_bound():
    learned = Learned()
    for tree, distance in enumerate([4.0, 7.0, 9.5]):
        learned.saw(tree, distance, bears=True, fed=True)
        learned.saw(tree, distance + 6.4, bears=True, fed=False)
    assert (learned.mouth_reach, learned.keep_off) == (9.5, 10.4)
    learned.saw(7, 60.0, bears=True, fed=True)
    for _ in range(10):
        learned.saw(8, 2.0, bears=True, fed=False)
    assert (learned.mouth_reach, learned.keep_off) == (9.5, 10.4)


def test_nothing_is_learned_of_the_mouth_from_trees_that_bear_nothing():
    learned = Learned()
    learned.saw(0, 3.0, bears=False, fed=False)
    assert (learned.mouth_reach, learned.keep_off) == (0.0, math.inf)
    assert learned.sight_reach == 3.0


def test_fruits_are_counted_on_trees_that_were_emptied():
    learned = Learned(first_fruit=20.0, first_max_fruit=8)
    assert (learned.fruit_health, learned.max_fruit) == (20.0, 8)
    for worth in (25.0, 30.0, -25.0):
        learned.ate(worth)
    assert (learned.fruit_health, learned.max_fruit) == (30.0, 8)
    for number in (3, 5, 4):  # some fruit was gone when it came
        learned.emptied(number)
    assert learned.max_fruit == 5


@pytest.mark.parametrize("name", ["first_fruit", "first_max_fruit", "first_regrowth", "boldness"])
def test_what_learning_begins_with_is_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        Learned(**{name: 0})


def test_who_is_told_learns_nothing():
    told = Told()
    told.saw(0, 50.0, True, True)
    told.saw_again(0, 3, True)
    told.ate(7.0)
    told.emptied(9)
    assert told == Told()
    assert told.regrowth_is_known
    assert told.are_told
    assert not Learned().are_told
    assert told.keep_off == told.mouth_reach == 10.0


@pytest.mark.parametrize("field", dataclasses.fields(Told), ids=lambda field: field.name)
def test_constants_are_positive(field):
    with pytest.raises(ValueError, match=f"{field.name} must be"):
        Told(**{field.name: 0})
