"""Telling food from poison, on names and amounts that were never trained on."""

import copy
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator

from tests.interrupting import interrupted_at_each_line
from tree_world.checks import WrongKind
from tree_world.evaluation import reliability
from tree_world.models.drives import (
    DRIVES,
    PENALTY,
    TEMPERATURES,
    Confusions,
    DriveClassifier,
    DriveEstimator,
    DriveSplit,
    count_confusions,
    count_verdicts,
    drive_examples,
    examples,
    fit_drives,
    train_drive_classifier,
)
from tree_world.models.drives import estimator as estimator_module
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS

CONFIG = TreeWorldConfig()
SMALL = TreeWorldConfig(num_trees=5, tree_ids=CONFIG.tree_ids[:8])


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


def test_the_key_ranks_apple_above_nightshade(trained):
    # The sum of squared products, by which the source values a smell, ranks them the other way.
    classifier, _ = trained[0]
    examples = drive_examples(CONFIG, amounts=[""])
    scores = examples.senses @ classifier.search_key("edible")
    value = dict(zip(examples.kinds, scores.tolist(), strict=True))
    assert value["apple"] > 0 > value["nightshade"]


@pytest.mark.parametrize("drive", ["hunger", 3, -1, 1.5, True, None])
def test_an_unknown_drive_is_refused(drive):
    with pytest.raises(ValueError, match="no drive"):
        random_classifier(0).search_key(drive)


def test_a_key_needs_something_to_compare_with():
    with pytest.raises(ValueError, match="num_drives=1"):
        DriveClassifier(2, num_drives=1).search_key(0)
    assert DriveClassifier(2, num_drives=2).search_key("edible").isfinite().all()


def test_a_key_is_positive_above_the_geometric_mean_of_the_others():
    # Edible has a positive key, and yet the verdict is poison.
    classifier = DriveClassifier(3)
    classifier.drive_embeddings.weight.data = torch.eye(3)
    smell = torch.tensor([1.5, 1.0, 0.0])
    poison, edible, neutral = classifier(smell).tolist()
    key = float(classifier.search_key("edible") @ smell)
    assert key == pytest.approx(0.25)
    assert key == pytest.approx(np.log(edible / np.sqrt(poison * neutral)), rel=1e-5)
    assert edible < 0.5
    assert classifier(smell).argmax() == DRIVES["poison"]


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


def fit(senses, targets):
    fit_drives(senses, targets)


def calibrate(senses, targets):
    random_classifier(0, sensory_dim=3).calibrate(senses, targets)


THIRDS = torch.full((2, 3), 1 / 3)


@pytest.mark.parametrize("verb", [fit, calibrate])
@pytest.mark.parametrize(
    ("senses", "targets", "told"),
    [
        (torch.zeros(2, 3), torch.ones(2, 3), "sum to one, but sums from 3 to 3"),
        (torch.zeros(2, 3), torch.tensor([[7.0, 0, 0], [-1, 0, 0]]), "sums from -1 to 7"),
        (torch.zeros(2, 3), torch.tensor([[2.0, -1, 0], [1, 0, 0]]), "entries down to -1"),
        (torch.zeros(2, 3), torch.full((3, 3), 1 / 3), "shapes"),
        (torch.zeros(3), THIRDS, "shapes"),
        (torch.zeros(0, 3), torch.zeros(0, 3), "n at least 1"),
        (torch.tensor([[0.0, 0, 0], [0, torch.nan, 0]]), THIRDS, r"senses .* \[1, 1\] is nan"),
        (torch.tensor([[0.0, 0, torch.inf], [0, 0, 0]]), THIRDS, r"senses .* \[0, 2\] is inf"),
        (torch.zeros(2, 3), torch.full((2, 3), torch.nan), r"targets .* \[0, 0\] is nan"),
    ],
)
def test_wrong_examples_are_refused(verb, senses, targets, told):
    with pytest.raises(ValueError, match=told):
        verb(senses, targets)


def test_what_does_not_fit_the_classifier_is_refused():
    with pytest.raises(ValueError, match=r"\(n, 3\) and \(n, 3\)"):
        calibrate(torch.zeros(2, 4), THIRDS)
    with pytest.raises(ValueError, match=r"\(n, 3\) and \(n, 3\)"):
        calibrate(torch.zeros(2, 3), torch.full((2, 2), 0.5))


@pytest.mark.filterwarnings("ignore:there is no best temperature")
@pytest.mark.parametrize("verb", [fit, calibrate])
def test_examples_come_in_any_kind_without_loss(verb):
    senses = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 0.0]])
    expected = verb(senses, THIRDS)
    for kind in (
        senses.astype(">f8"), senses[::-1][::-1], senses.astype(object),
        senses.astype(np.longdouble), [torch.tensor(row) for row in senses],
        np.ma.masked_array(senses), torch.tensor(senses, requires_grad=True),
    ):  # fmt: skip
        found = verb(kind, [list(row) for row in THIRDS])
        weight = getattr(found, "drive_embeddings", None)
        if weight is None:
            assert found == expected
        else:
            assert torch.equal(weight.weight, expected.drive_embeddings.weight)
    wrong = (senses + 1j, np.ma.masked_array(senses, mask=senses > 2), [["a"] * 3] * 2, None)
    for senses in wrong:
        with pytest.raises(WrongKind, match="senses must be"):
            verb(senses, THIRDS)
    with pytest.raises(WrongKind, match="targets must be real numbers"):
        verb(torch.zeros(2, 3), np.asarray(THIRDS) + 0j)


def test_numbers_come_in_any_precision():
    senses = torch.eye(3)
    expected = fit_drives(senses, senses, 0.25, 100).drive_embeddings.weight
    for penalty, steps in ((np.float16(0.25), np.uint8(100)), (Fraction(1, 4), torch.tensor(100))):
        found = fit_drives(senses, senses, penalty, steps).drive_embeddings.weight
        assert torch.equal(found, expected)
    for wrong in (True, "0.25", 1j):
        with pytest.raises(ValueError, match="penalty must be a real number"):
            fit_drives(senses, senses, wrong)
    classifier = DriveClassifier(torch.tensor(3), np.int8(3))
    assert torch.equal(classifier.search_key(torch.tensor(1)), classifier.search_key("edible"))


def test_smells_are_not_in_metres():
    with pytest.raises(ValueError, match="one number for each of the 3 dimensions of senses"):
        DriveClassifier(3)([1.0, 2.0])


@pytest.mark.parametrize("penalty", [0, -1.0, torch.nan, torch.inf])
def test_a_wrong_penalty_is_refused(penalty):
    with pytest.raises(ValueError, match="penalty must be positive and finite"):
        fit_drives(torch.zeros(2, 3), THIRDS, penalty=penalty)


@pytest.mark.parametrize("number", [0, -5, 2.5, True, None])
def test_numbers_that_are_not_whole_and_positive_are_refused(number):
    with pytest.raises(ValueError, match="max_steps must be a whole number"):
        fit_drives(torch.zeros(2, 3), THIRDS, max_steps=number)
    with pytest.raises(ValueError, match="sensory_dim must be a whole number"):
        DriveClassifier(number)
    with pytest.raises(ValueError, match="num_drives must be a whole number"):
        DriveClassifier(2, num_drives=number)


def test_a_fit_that_stops_early_says_so():
    generator = torch.Generator().manual_seed(0)
    senses = torch.randn(60, 5, generator=generator)
    targets = torch.rand(60, 3, generator=generator).softmax(-1)
    with pytest.warns(ConvergenceWarning, match="max_steps=1 "):
        fit_drives(senses, targets, max_steps=1)
    with pytest.warns(ConvergenceWarning, match="max_steps=2 "):
        DriveEstimator(max_steps=2).fit(senses.numpy(), targets.argmax(-1).numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_drives(senses, targets)
        fit_drives(10 * senses, targets)
    with pytest.raises(ValueError, match="scale of one"):
        fit_drives(1e300 * senses.double(), targets)


def test_names_are_a_sequence():
    with pytest.raises(TypeError, match="names must be a sequence"):
        drive_examples(CONFIG, "Ada")
    with pytest.raises(TypeError, match="amounts must be a sequence"):
        drive_examples(CONFIG, amounts="many fruit")
    with pytest.raises(ValueError, match="with_ids=True"):
        train_drive_classifier(CONFIG, with_ids=False, calibrated=True)


def test_all_verdicts_are_counted(trained):
    classifier, split = trained[0]
    examples = split.test_examples(CONFIG)
    counts = count_verdicts(classifier, examples.senses, examples.is_poisonous)
    verdicts = classifier(examples.senses).argmax(-1).tolist()
    for row, poisonous in enumerate((True, False)):
        for drive in DRIVES.values():
            expected = sum(
                v == drive and p == poisonous
                for v, p in zip(verdicts, examples.is_poisonous.tolist(), strict=True)
            )
            assert counts[row, drive] == expected
    wrong = count_confusions(classifier, examples)
    assert wrong == Confusions(
        int(counts[0, 1]), int(counts[0].sum()), int(counts[1, 0]), int(counts[1].sum())
    )
    with pytest.raises(ValueError, match="one for each smell"):
        count_verdicts(classifier, examples.senses, examples.is_poisonous[1:])
    with pytest.raises(ValueError, match="one for each smell"):
        count_verdicts(classifier, examples.senses, examples.is_poisonous.long())
    with pytest.raises(ValueError, match="3 drives"):
        count_verdicts(DriveClassifier(2, 2), torch.zeros(1, 2), torch.tensor([True]))


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


def cross_entropy(model, examples):
    return float(-(examples.targets * model(examples.senses).log()).sum(dim=-1).mean())


def test_what_calibration_sees_is_not_held_out():
    for seed in range(10):
        split = DriveSplit.random_from_config(CONFIG, seed)
        later = split.calibration_examples(CONFIG)
        assert set(later.names) == set(split.calibration_names)
        assert not set(later.names) & {*split.train_names, *split.test_names}
        assert set(later.amounts) == {"", *split.train_amounts}
        assert not set(later.amounts) & set(split.held_out_amounts)
        seen = split.train_examples(CONFIG)
        assert set(seen.names) == {"", *split.train_names}
        assert set(seen.amounts) == set(split.met_amounts)
        assert set(split.test_examples(CONFIG).names) == set(split.test_names)
        assert set(split.test_examples(CONFIG).amounts) == {"", *FRUIT_AMOUNTS}


@pytest.mark.parametrize("calibrated", [False, True])
def test_words_that_are_held_out_change_nothing(monkeypatch, calibrated):
    # Whatever the held-out words smell of: neither training nor calibration may have met them.
    expected, _ = train_drive_classifier(SMALL, seed=1, calibrated=calibrated)
    split = DriveSplit.random_from_config(SMALL, 1)
    kept = {*split.test_names, *split.held_out_amounts}
    kept |= set() if calibrated else set(split.calibration_names)
    embed = examples.embed_text_sentence_transformers

    def replaced(words, model):
        turned = torch.tensor([-5.0 if word in kept else 1.0 for word in words])
        return embed(words, model) * turned[:, None]

    monkeypatch.setattr(examples, "embed_text_sentence_transformers", replaced)
    ours, _ = train_drive_classifier(SMALL, seed=1, calibrated=calibrated)
    assert torch.equal(ours.drive_embeddings.weight, expected.drive_embeddings.weight)
    assert ours.temperature == expected.temperature
    assert (ours.temperature == 1.0) is not calibrated


def test_calibration_helps_a_little_where_the_amounts_were_met_and_nowhere_else(trained):
    at_met, at_all = [], []
    for seed in range(4):
        raw, split = trained[seed]
        assert raw.temperature == 1.0
        model = copy.deepcopy(raw)
        later = split.calibration_examples(CONFIG)
        model.calibrate(later.senses, later.targets)
        assert 0.6 < model.temperature < 1
        torch.testing.assert_close(
            raw.drive_embeddings.weight / model.temperature,
            model.drive_embeddings.weight, rtol=1e-4, atol=1e-4,
            msg=f"seed {seed}: calibration may only scale",
        )  # fmt: skip
        met, everything = (
            split.test_examples(CONFIG, split.met_amounts),
            split.test_examples(CONFIG),
        )
        at_met.append(cross_entropy(model, met) - cross_entropy(raw, met))
        at_all.append(cross_entropy(model, everything) - cross_entropy(raw, everything))
    assert max(at_met) < 0
    assert min(at_met) > -0.05
    assert np.mean(at_all) > 0.01


def test_calibration_finds_the_temperature_that_was_hidden():
    classifier = random_classifier(1)
    senses = torch.randn(500, 7, generator=torch.Generator().manual_seed(2))
    targets = classifier(senses)
    classifier.drive_embeddings.weight.data *= 3.0
    assert classifier.calibrate(senses, targets) == pytest.approx(3.0, rel=1e-5)
    torch.testing.assert_close(classifier(senses), targets, rtol=1e-3, atol=1e-5)
    assert classifier.calibrate(senses, targets) == pytest.approx(1.0, rel=1e-5)
    assert classifier.temperature == pytest.approx(3.0, rel=1e-5)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.3, 3.0))
def test_calibration_finds_the_least_cross_entropy(seed, scale):
    classifier = random_classifier(seed)
    classifier.drive_embeddings.weight.data *= scale
    generator = torch.Generator().manual_seed(seed)
    senses = torch.randn(40, 7, generator=generator)
    targets = (senses[:, :3] + torch.randn(40, 3, generator=generator)).softmax(-1)
    logits = senses.double() @ classifier.drive_embeddings.weight.double().mT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = classifier.calibrate(senses, targets)

    def loss(temperature):
        return float(-(targets * (logits / temperature).log_softmax(-1)).sum(-1).mean())

    grid = np.geomspace(*TEMPERATURES, 400)
    assert loss(found) <= min(loss(t) for t in grid) + 1e-12


@pytest.mark.parametrize(("sign", "bound"), [(1.0, 0), (-1.0, 1)])
def test_a_temperature_that_runs_away_is_held_and_told(sign, bound):
    classifier = random_classifier(0)
    senses = torch.randn(50, 7, generator=torch.Generator().manual_seed(1))
    verdicts = (sign * classifier.scores(senses)).argmax(dim=-1)  # all right, or all wrong
    with pytest.warns(ConvergenceWarning, match="no best temperature"):
        found = classifier.calibrate(senses, torch.eye(3)[verdicts])
    assert found == TEMPERATURES[bound]
    assert classifier.temperature == pytest.approx(found)
    assert classifier(senses).isfinite().all()


def test_where_all_temperatures_fit_alike_nothing_changes():
    classifier = DriveClassifier(2)
    with pytest.warns(ConvergenceWarning, match="all drives score alike"):
        assert classifier.calibrate([[1.0, 0.0]], [[1.0, 0.0, 0.0]]) == 1.0
    assert classifier.temperature == 1.0


def test_an_interrupted_calibration_was_made_or_not():
    senses = torch.randn(50, 7, generator=torch.Generator().manual_seed(2))

    wanted = (2 * random_classifier(1).scores(senses)).softmax(-1)

    def calibrate(classifier):
        classifier.calibrate(senses, wanted)

    found = set()
    for one in interrupted_at_each_line(lambda: random_classifier(1), calibrate):
        weight = one.drive_embeddings.weight * one.temperature
        torch.testing.assert_close(weight, random_classifier(1).drive_embeddings.weight)
        found.add(round(one.temperature, 3))
    assert found == {1.0, 0.5}


def test_a_failed_fit_leaves_the_estimator_as_it_was(monkeypatch):
    values = np.random.default_rng(0).normal(size=(40, 3))
    estimator = DriveEstimator().fit(values, values[:, 0] > 0)
    before = estimator.predict(values)
    monkeypatch.setattr(estimator_module, "fit_drives", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        estimator.fit(values, np.arange(40) % 4)
    np.testing.assert_array_equal(estimator.predict(values), before)


def test_the_temperature_goes_with_the_state():
    classifier = random_classifier(1)
    senses = torch.randn(50, 7, generator=torch.Generator().manual_seed(2))
    classifier.calibrate(senses, (2 * classifier.scores(senses)).softmax(-1))
    assert classifier.temperature == pytest.approx(0.5)
    state = classifier.state_dict()
    other = DriveClassifier(7)
    other.load_state_dict(state)
    assert other.temperature == classifier.temperature
    torch.testing.assert_close(other(senses), classifier(senses))
    # What version 0.1 saved holds the weight alone.
    old = {"drive_embeddings.weight": state["drive_embeddings.weight"]}
    other.load_state_dict(old)
    assert list(old) == ["drive_embeddings.weight"]
    assert other.temperature == 1.0
    within = torch.nn.Sequential(DriveClassifier(7))
    within.load_state_dict({"0.drive_embeddings.weight": old["drive_embeddings.weight"]})
    torch.testing.assert_close(within(senses), classifier(senses))
    for copied in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        assert copied.temperature == classifier.temperature
    pickled_by_0_1 = {**classifier.__dict__, "temperature": 2.5, "_buffers": {}}
    restored = DriveClassifier.__new__(DriveClassifier)
    restored.__setstate__(pickled_by_0_1)
    assert restored.temperature == 2.5
    assert restored.state_dict().keys() == state.keys()


def test_inference_mode_and_a_default_precision_change_nothing():
    plain, _ = train_drive_classifier(SMALL, seed=0, calibrated=True)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        wide, _ = train_drive_classifier(SMALL, seed=0, calibrated=True)
        assert DriveClassifier(2)(torch.zeros(2)).dtype == torch.float32
        assert drive_examples(SMALL).targets.dtype == torch.float32
    finally:
        torch.set_default_dtype(before)
    with torch.inference_mode():
        inside, _ = train_drive_classifier(SMALL, seed=0, calibrated=True)
        senses = drive_examples(SMALL).senses
    for model in (wide, inside):
        assert torch.equal(model.drive_embeddings.weight, plain.drive_embeddings.weight)
    # What was made there can be used, calibrated and trained here.
    targets = inside(senses)
    fit_drives(senses, targets)
    inside.drive_embeddings.weight.data *= 2
    assert inside.calibrate(senses, targets) == pytest.approx(2.0, rel=1e-4)
    inside.requires_grad_()(senses.clone())[0, 0].backward()
    assert inside.drive_embeddings.weight.grad is not None
    with torch.inference_mode():
        moved = copy.deepcopy(plain).float()
        moved.calibrate(senses, targets)
    moved.calibrate(senses, targets)
    moved.temperature = 1.0


def test_training_is_repeatable(trained):
    one, _ = trained[3]
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
