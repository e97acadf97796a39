"""The network as it is served: the same numbers for a row alone, out of a file, and whole or in parts."""

from itertools import pairwise

import numpy as np
import pytest

from btc.nets import REACH, Layer, Net


@pytest.fixture(scope="module")
def net():
    source = np.random.default_rng(3)

    def singles(*shape):
        return source.normal(size=shape).astype(np.float32)

    sizes = (12, 32, 16, 10)
    layers = [Layer(singles(*pair) / 4, singles(pair[1])) for pair in pairwise(sizes)]
    return Net(singles(12), np.abs(singles(12)) + 0.5, tuple(layers[:-1]), layers[-1], singles(12, 10))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(4).normal(size=(501, 12)).astype(np.float32)


def test_a_row_alone_comes_out_bit_for_bit_as_among_others(net, rows):
    whole = net.outputs(rows)

    assert whole.shape == (501, 10)
    for row in (0, 1, 17, 499, 500):
        assert net.outputs(rows[row : row + 1]).tobytes() == whole[row : row + 1].tobytes()
    assert net.outputs(rows[3:40]).tobytes() == whole[3:40].tobytes()


def test_it_computes_what_its_layers_say(net, rows):
    values = inputs = np.clip((rows.astype(np.float64) - net.centre) / net.width, -REACH, REACH)
    for layer in net.hidden:
        values = values @ layer.weights + layer.bias
        values = values / (1 + np.exp(-values))

    expected = values @ net.last.weights + net.last.bias + inputs @ net.direct
    np.testing.assert_allclose(net.outputs(rows), expected, rtol=1e-4, atol=1e-4)


def test_an_unknown_feature_stands_at_its_centre_and_a_far_one_no_further_than_was_learnt(net, rows):
    unknown, central, far, further = (rows[:1].copy() for _ in range(4))
    unknown[0, 5], central[0, 5], far[0, 5], further[0, 5] = np.nan, net.centre[5], 1e3, 1e6

    assert net.outputs(unknown).tobytes() == net.outputs(central).tobytes()
    assert net.outputs(far).tobytes() == net.outputs(further).tobytes()


def test_parts_are_the_columns_of_the_whole(net, rows):
    parts = net.parted(2)
    found = np.concatenate([part.outputs(rows) for part in parts], axis=1)

    np.testing.assert_allclose(found, net.outputs(rows), rtol=1e-5, atol=1e-5)


def test_its_arrays_make_it_anew(net, rows):
    again = Net.of_arrays(net.arrays())

    assert again.outputs(rows).tobytes() == net.outputs(rows).tobytes()


@pytest.mark.parametrize("part", ["width", "direct", "layer_0_weights", "layer_1_bias", "layer_2_weights"])
def test_parts_that_do_not_fit_are_refused(net, part):
    parts = net.arrays()
    with pytest.raises(ValueError, match="network"):
        Net.of_arrays(parts | {part: parts[part][:-1]})
    with pytest.raises(KeyError):
        Net.of_arrays({name: array for name, array in parts.items() if name != part})
