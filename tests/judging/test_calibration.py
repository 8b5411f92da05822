"""Reliability, the calibration error and temperatures, against scikit-learn and against what made the data."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from thumbnet.judging.calibration import (
    AFTER,
    BEFORE,
    COLDEST,
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
    sort_into_bins,
    write_calibration,
)
from thumbnet.judging.metrics import cross_entropy


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def drawn(n: int, classes: int, temperature: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities whose labels follow softmax(logits / temperature)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (n, classes))
    truth = softmax(logits / temperature).astype(np.float64).cumsum(axis=1)
    labels = (random.random((n, 1)) * truth[:, -1:] > truth).sum(axis=1)
    return softmax(logits), labels.astype(np.int64)


def two_classes(confidences: list[float], right: list[bool]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    first = np.array(confidences, dtype=np.float32)
    return np.stack([first, 1 - first], axis=1), np.where(right, 0, 1).astype(np.int64)


@pytest.mark.parametrize(
    ("confidences", "right", "error"),
    [
        ([1.0, 1.0], [True, True], 0.0),
        ([1.0, 1.0], [True, False], 0.5),
        ([0.75, 0.75, 0.75, 0.75], [True, True, True, False], 0.0),
        ([0.9, 0.9, 0.6, 0.6], [True, False, True, True], 0.4),  # (0.9 - 0.5 and 1 - 0.6, half of the images each)
        ([0.51, 0.51, 0.51, 0.99], [True, True, True, True], (3 * 0.49 + 0.01) / 4),
    ],
)
def test_the_calibration_error_by_hand(confidences: list[float], right: list[bool], error: float) -> None:
    assert expected_calibration_error(sort_into_bins(*two_classes(confidences, right))) == pytest.approx(
        error, abs=1e-6
    )


@pytest.mark.parametrize("count", [1, 10, 15])
def test_bins_are_those_of_scikit_learn(count: int) -> None:
    probabilities, labels = drawn(2000, 5, 2.0)
    right = probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1).astype(float), n_bins=count)
    bins = sort_into_bins(probabilities, labels, count)
    assert [each.accuracy for each in bins] == pytest.approx(accuracy.tolist())
    assert [each.confidence for each in bins] == pytest.approx(confidence.tolist())
    expected = np.average(np.abs(accuracy - confidence), weights=[each.images for each in bins])
    assert expected_calibration_error(bins) == pytest.approx(expected)


def test_a_bin_has_its_upper_end_and_lacks_its_lower_one() -> None:
    bins = sort_into_bins(*two_classes([0.75, 0.5, 1.0], [True, True, True]), bins=4)
    assert [(each.low, each.high, each.images) for each in bins] == [(0.25, 0.5, 1), (0.5, 0.75, 1), (0.75, 1.0, 1)]


@given(st.integers(1, 60), st.integers(2, 8), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_bins_hold_every_image_once(n: int, classes: int, seed: int) -> None:
    probabilities, labels = drawn(n, classes, 1.0, seed)
    bins = sort_into_bins(probabilities, labels)
    assert sum(each.images for each in bins) == n
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    assert sum(each.images * each.accuracy for each in bins) / n == pytest.approx(accuracy)
    assert all(each.low < each.confidence <= each.high + 1e-9 for each in bins)
    assert 0 <= expected_calibration_error(bins) <= 1


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    probabilities, labels = drawn(20_000, 6, temperature)
    found = fit_temperature(probabilities, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    scaled = apply_temperature(probabilities, found)
    assert expected_calibration_error(sort_into_bins(scaled, labels)) < 0.015


def test_no_other_temperature_has_a_lower_loss() -> None:
    probabilities, labels = drawn(500, 4, 1.7)
    found = fit_temperature(probabilities, labels)
    least = cross_entropy(apply_temperature(probabilities, found), labels)
    for other in np.geomspace(0.1, 10, 200):
        assert least <= cross_entropy(apply_temperature(probabilities, float(other)), labels) + 1e-6


def test_a_network_that_is_always_right_ends_at_the_coldest_temperature() -> None:
    probabilities = np.array([[0.6, 0.4], [0.2, 0.8]], dtype=np.float32)
    assert fit_temperature(probabilities, np.array([0, 1])) == pytest.approx(COLDEST, rel=0.01)


def test_probabilities_of_zero_do_no_harm() -> None:
    probabilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)
    temperature = fit_temperature(probabilities, np.array([0, 1, 2]))
    assert temperature > 1
    assert np.isfinite(apply_temperature(probabilities, temperature)).all()


@given(st.floats(0.05, 20), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_temperature_keeps_the_order_of_classes_and_rows_that_sum_to_1(temperature: float, seed: int) -> None:
    probabilities, _ = drawn(20, 5, 1.0, seed)
    scaled = apply_temperature(probabilities, temperature)
    np.testing.assert_allclose(scaled.sum(axis=1), 1, atol=1e-5)
    best = scaled[np.arange(20), probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(best, scaled.max(axis=1))
    assert scaled.dtype == np.float32


def test_a_temperature_of_1_changes_nothing() -> None:
    probabilities, _ = drawn(100, 5, 1.0)
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities, rtol=1e-5)


def test_the_table_has_a_row_per_bin_before_and_after(tmp_path: Path) -> None:
    probabilities, labels = two_classes([0.75, 1.0], [True, True])
    bins = {BEFORE: sort_into_bins(probabilities, labels, 2), AFTER: sort_into_bins(probabilities[:1], labels[:1], 2)}
    write_calibration(tmp_path / "bn.csv", {"test": bins})
    with (tmp_path / "bn.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["split", "scaling", "low", "high", "confidence", "accuracy", "images"],
            ["test", "as trained", "0.5", "1.0", "0.875", "1.0", "2"],
            ["test", "after temperature", "0.5", "1.0", "0.75", "1.0", "1"],
        ]
