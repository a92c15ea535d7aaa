"""Telling food from poison, on names and amounts that were never trained on."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator

from tree_world.evaluation import reliability
from tree_world.models.drives import (
    DRIVES,
    PENALTY,
    DriveClassifier,
    DriveEstimator,
    DriveSplit,
    count_confusions,
    drive_examples,
    fit_drives,
    train_drive_classifier,
)
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS

CONFIG = TreeWorldConfig()


@pytest.fixture(scope="module")
def trained():
    """Classifiers of ten seeds with what was held out from each."""
    return [
        (
            train_drive_classifier(CONFIG, with_ids=True, seed=seed)[0],
            DriveSplit.random_from_config(CONFIG, seed),
        )
        for seed in range(10)
    ]


def random_classifier(seed, sensory_dim=7):
    classifier = DriveClassifier(sensory_dim)
    generator = torch.Generator().manual_seed(seed)
    classifier.drive_embeddings.weight.data = torch.randn(3, sensory_dim, generator=generator)
    return classifier


# --- the model -----------------------------------------------------------------------------------


def test_probabilities_are_a_softmax_of_products():
    classifier = random_classifier(0)
    senses = torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(1))
    ours = classifier(senses)
    logits = senses.double().numpy() @ classifier.drive_embeddings.weight.double().numpy().T
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    torch.testing.assert_close(classifier(torch.zeros(7)), torch.full((3,), 1 / 3))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), shift=st.floats(-50, 50), drive=st.sampled_from(list(DRIVES)))
def test_a_search_key_does_not_change_when_all_embeddings_shift(seed, shift, drive):
    classifier, shifted = random_classifier(seed), random_classifier(seed)
    direction = torch.randn(7, generator=torch.Generator().manual_seed(seed + 1))
    shifted.drive_embeddings.weight.data += shift * direction
    senses = torch.randn(3, 7, generator=torch.Generator().manual_seed(seed + 2))
    torch.testing.assert_close(shifted(senses), classifier(senses), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(
        shifted.search_key(drive), classifier.search_key(drive), atol=1e-4, rtol=1e-4
    )


def test_a_search_key_scores_mean_log_odds():
    classifier = random_classifier(3)
    senses = torch.randn(6, 7, generator=torch.Generator().manual_seed(4))
    log_p = classifier(senses).log()
    edible = DRIVES["edible"]
    odds = [log_p[:, edible] - log_p[:, other] for other in range(3) if other != edible]
    expected = torch.stack(odds).mean(dim=0)
    torch.testing.assert_close(senses @ classifier.search_key("edible"), expected)
    torch.testing.assert_close(classifier.search_key(1), classifier.search_key("edible"))


def test_the_key_ranks_apple_above_nightshade():
    # The sum of squared products, by which the source values a smell, ranks them the other way.
    classifier, _ = train_drive_classifier(CONFIG, with_ids=True, seed=0)
    examples = drive_examples(CONFIG, amounts=[""])
    scores = examples.senses @ classifier.search_key("edible")
    value = dict(zip(examples.kinds, scores.tolist(), strict=True))
    assert value["apple"] > 0 > value["nightshade"]


@pytest.mark.parametrize("drive", ["hunger", 3, -1])
def test_an_unknown_drive_is_refused(drive):
    with pytest.raises(ValueError, match="no drive"):
        random_classifier(0).search_key(drive)


def test_wrong_senses_are_refused():
    with pytest.raises(ValueError, match=r"senses must have shape \(\.\.\., 7\)"):
        random_classifier(0)(torch.zeros(2, 6))
    with pytest.raises(ValueError, match="finite"):
        random_classifier(0)(torch.full((7,), torch.nan))


# --- the examples --------------------------------------------------------------------------------


def test_examples_are_sums_of_words_and_worth_their_amount():
    examples = drive_examples(CONFIG, ["", "Ada"], ["", "no fruit", "two fruit", "many fruit"])
    assert len(examples) == 16 * 2 * 4
    assert examples.targets.sum(dim=-1).tolist() == [1.0] * len(examples)
    at = {words: i for i, words in enumerate(
        zip(examples.kinds, examples.names, examples.amounts, strict=True))}  # fmt: skip
    assert examples.targets[at["fig", "Ada", ""]].tolist() == [0, 1, 0]
    assert examples.targets[at["fig", "", "two fruit"]].tolist() == [0, 0.5, 0.5]
    assert examples.targets[at["nightshade", "Ada", "no fruit"]].tolist() == [0, 0, 1]
    assert examples.targets[at["nightshade", "Ada", "many fruit"]].tolist() == [1, 0, 0]
    parts = [examples.senses[at[words]] for words in (
        ("fig", "Ada", "two fruit"), ("fig", "", ""), ("fig", "Ada", ""), ("fig", "", "two fruit")
    )]  # fmt: skip
    torch.testing.assert_close(parts[0], parts[2] + parts[3] - parts[1])


def test_examples_are_what_a_tree_smells_of_at_its_foot():
    world = TreeWorld.random_from_config(TreeWorldConfig(num_trees=1), seed=0)
    tree = world.trees[0]
    _, sense, _ = SimpleSensor().sense(world, tree.location)
    examples = drive_examples(CONFIG, [tree.tree_id], ["several fruit"])
    torch.testing.assert_close(sense, examples.senses[examples.kinds.index(tree.name)])


def test_wrong_words_are_refused():
    with pytest.raises(ValueError, match="amounts"):
        drive_examples(CONFIG, amounts=["plenty"])
    with pytest.raises(ValueError, match="at least one word"):
        drive_examples(CONFIG, names=[])


def test_a_split_shares_out_all_words():
    split = DriveSplit.random_from_config(CONFIG, 5)
    parts = (split.train_names, split.calibration_names, split.test_names)
    assert sorted(sum(parts, ())) == sorted(CONFIG.tree_ids)
    assert [len(part) for part in parts] == [52, 16, 16]
    assert sorted(split.train_amounts + split.held_out_amounts) == sorted(FRUIT_AMOUNTS)
    assert split == DriveSplit.random_from_config(CONFIG, 5)
    assert split != DriveSplit.random_from_config(CONFIG, 6)
    few = TreeWorldConfig(num_trees=2, tree_ids=("A", "B"))
    with pytest.raises(ValueError, match="at least 5"):
        DriveSplit.random_from_config(few, 0)


# --- training ------------------------------------------------------------------------------------


def test_the_fit_is_the_minimum():
    generator = torch.Generator().manual_seed(0)
    senses = torch.randn(60, 5, generator=generator)
    targets = torch.rand(60, 3, generator=generator)
    targets /= targets.sum(dim=-1, keepdim=True)
    weight = fit_drives(senses, targets, 0.01).drive_embeddings.weight.double()
    weight.requires_grad_()
    logits = senses.double() @ weight.mT
    loss = -(targets * logits.log_softmax(-1)).sum(-1).mean() + 0.005 * weight.square().sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient.abs().max() < 1e-6


def test_the_fit_is_logistic_regression():
    generator = np.random.default_rng(0)
    senses = generator.normal(size=(200, 4))
    classes = (senses[:, 0] + 0.5 * generator.normal(size=200) > 0).astype(int) + (senses[:, 1] > 1)
    ours = DriveEstimator(penalty=0.01).fit(senses, classes)
    theirs = LogisticRegression(fit_intercept=False, C=1 / (0.01 * 200), tol=1e-10, max_iter=5000)
    expected = theirs.fit(senses, classes).predict_proba(senses)
    np.testing.assert_allclose(ours.predict_proba(senses), expected, atol=1e-5)


def test_the_estimator_has_the_manners_of_scikit_learn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about checks that need other packages
        check_estimator(DriveEstimator())


def test_wrong_targets_are_refused():
    with pytest.raises(ValueError, match="sum to one"):
        fit_drives(torch.zeros(2, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match="shapes"):
        fit_drives(torch.zeros(2, 3), torch.ones(3, 3) / 3)
    with pytest.raises(ValueError, match="penalty"):
        fit_drives(torch.zeros(2, 3), torch.full((2, 3), 1 / 3), penalty=0)


def test_poison_is_never_called_edible(trained):
    for classifier, split in trained:
        examples = drive_examples(CONFIG, split.test_names)  # held-out amounts are among all
        assert set(split.held_out_amounts) <= set(examples.amounts)
        errors = count_confusions(classifier, examples)
        assert errors.num_poisonous == 4 * 16 * 6
        assert errors.poison_called_edible == 0
        assert errors.edible_called_poison <= 0.001 * errors.num_edible


def test_without_names_poison_is_called_edible():
    classifier, keys = train_drive_classifier(CONFIG, with_ids=False)
    assert keys == {"poison": 0, "edible": 1, "neutral": 2}
    unnamed = count_confusions(classifier, drive_examples(CONFIG))
    assert unnamed.poison_called_edible == 0
    named = count_confusions(classifier, drive_examples(CONFIG, CONFIG.tree_ids))
    assert named.poison_called_edible > 0.03 * named.num_poisonous


def test_calibration_helps_on_names_that_it_has_not_seen(trained):
    better = 0
    for seed, (classifier, split) in enumerate(trained):
        examples = drive_examples(CONFIG, ("", *split.train_names), ("", *split.train_amounts))
        raw = fit_drives(examples.senses, examples.targets)
        later = drive_examples(CONFIG, split.test_names)

        def loss(model, later=later):
            return -(later.targets * model(later.senses).log()).sum(dim=-1).mean()

        torch.testing.assert_close(
            raw.drive_embeddings.weight / classifier.temperature,
            classifier.drive_embeddings.weight, rtol=1e-4, atol=1e-4,
            msg=f"seed {seed}: calibration may only scale",
        )  # fmt: skip
        better += bool(loss(classifier) < loss(raw))
    assert better >= 9


def test_calibration_finds_the_temperature_that_was_hidden():
    classifier = random_classifier(1)
    senses = torch.randn(500, 7, generator=torch.Generator().manual_seed(2))
    targets = classifier(senses)
    classifier.drive_embeddings.weight.data *= 3.0
    assert classifier.calibrate(senses, targets) == pytest.approx(3.0, rel=1e-4)
    torch.testing.assert_close(classifier(senses), targets, rtol=1e-3, atol=1e-5)


def test_training_is_repeatable():
    one, _ = train_drive_classifier(CONFIG, with_ids=True, seed=3)
    two, _ = train_drive_classifier(CONFIG, with_ids=True, seed=3)
    assert torch.equal(one.drive_embeddings.weight, two.drive_embeddings.weight)
    assert one.drive_embeddings.weight.shape == (3, 384)
    assert PENALTY > 0


def test_certainty_is_fair_on_held_out_names(trained):
    classifier, split = trained[3]
    examples = drive_examples(CONFIG, split.test_names, ("", *split.train_amounts))
    chance = classifier(examples.senses)[:, DRIVES["edible"]]
    bins = reliability(chance.double().numpy(), examples.targets[:, DRIVES["edible"]].numpy())
    assert bins.expected_calibration_error < 0.1
