"""The network as it is served: the same numbers for a row alone, out of a file, and whole or in parts."""

from itertools import pairwise

import numpy as np
import pytest

from btc.nets import Bends, Layer, Net, mean_outputs


@pytest.fixture(scope="module")
def net():
    source = np.random.default_rng(3)

    def singles(*shape):
        return source.normal(size=shape).astype(np.float32)

    sizes = (12, 32, 16, 10)
    layers = [Layer(singles(*pair) / 4, singles(pair[1])) for pair in pairwise(sizes)]
    knots, heights = (np.sort(source.normal(size=(12, 7)), axis=1) for _ in range(2))
    return Net(Bends(knots, heights), tuple(layers[:-1]), layers[-1], singles(12, 10))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(4).normal(size=(501, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def odd_rows(net, rows):
    """Unknown, beyond all knots, and on them."""
    odd = rows.copy()
    odd[::7, 2], odd[::5, 3], odd[1::5, 3] = np.nan, np.inf, -np.inf
    odd[:7, :] = net.bends.knots.T
    return odd


def test_a_row_alone_comes_out_bit_for_bit_as_among_others(net, odd_rows):
    whole = mean_outputs([net, net.scaled(np.full(10, 3, np.float32))], odd_rows)

    assert whole.shape == (501, 10)
    assert np.isfinite(whole).all()
    for part in (*(slice(row, row + 1) for row in (0, 1, 6, 7, 10, 11, 499, 500)), slice(3, 40)):
        alone = mean_outputs([net, net.scaled(np.full(10, 3, np.float32))], odd_rows[part])
        assert alone.tobytes() == whole[part].tobytes()


def test_it_computes_what_its_layers_say(net, rows):
    columns = zip(rows.T, net.bends.knots, net.bends.heights, strict=True)
    values = inputs = np.stack([np.interp(*column) for column in columns], axis=1)
    for layer in net.hidden:
        values = values @ layer.weights + layer.bias
        values = values / (1 + np.exp(-values))

    expected = values @ net.last.weights + net.last.bias + inputs @ net.direct
    np.testing.assert_allclose(net.outputs(rows), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pieces", [1, 6])
def test_features_are_bent_as_interpolation_bends_each(odd_rows, pieces):
    source = np.random.default_rng(5)
    knots, heights = (np.sort(source.normal(size=(12, pieces + 1)), axis=1) for _ in range(2))
    knots[4] = heights[4] = 0.5  # a feature that does not vary
    rows = odd_rows.copy()
    rows[: pieces + 1] = knots.T
    columns = [np.interp(*column) for column in zip(rows.T, knots, heights, strict=True)]

    expected = np.nan_to_num(np.stack(columns, axis=1).astype(np.float32))
    np.testing.assert_array_equal(Bends(knots, heights).of(rows), expected)


def test_an_unknown_feature_stands_at_0_and_a_far_one_no_further_than_was_learnt(net, rows):
    unknown, central, far, further = (rows[:1].copy() for _ in range(4))
    at_0 = np.interp(0.0, net.bends.heights[5], net.bends.knots[5])
    unknown[0, 5], central[0, 5], far[0, 5], further[0, 5] = np.nan, at_0, 1e3, 1e6

    np.testing.assert_allclose(net.outputs(unknown), net.outputs(central), rtol=1e-4, atol=1e-4)
    assert net.outputs(far).tobytes() == net.outputs(further).tobytes()


def test_parts_are_the_columns_of_the_whole(net, rows):
    parts = net.parted(2)
    found = np.concatenate([part.outputs(rows) for part in parts], axis=1)

    np.testing.assert_allclose(found, net.outputs(rows), rtol=1e-5, atol=1e-5)


def test_its_arrays_make_it_anew(net, rows):
    again = Net.of_arrays(net.arrays())

    assert again.outputs(rows).tobytes() == net.outputs(rows).tobytes()


def test_of_several_the_mean_is_told(net, rows):
    other = net.scaled(np.full(10, 3, np.float32))

    np.testing.assert_allclose(mean_outputs([net, other], rows), 2 * net.outputs(rows), rtol=1e-5, atol=1e-5)
    assert mean_outputs([net], rows).tobytes() == net.outputs(rows).astype(np.float64).tobytes()


@pytest.mark.parametrize("part", ["knots", "heights", "direct", "layer_0_weights", "layer_1_bias", "layer_2_weights"])
def test_parts_that_do_not_fit_are_refused(net, part):
    parts = net.arrays()
    with pytest.raises(ValueError, match="network"):
        Net.of_arrays(parts | {part: parts[part][:-1]})
    with pytest.raises(ValueError, match="ascend"):
        Net.of_arrays(parts | {"knots": parts["knots"][:, ::-1]})
    with pytest.raises(KeyError):
        Net.of_arrays({name: array for name, array in parts.items() if name != part})
