"""What the heads that are served have learnt from."""

from dataclasses import replace

from training import fit


def nets(heads):
    return b"".join(array.tobytes() for head in heads.values() for net in head.nets for array in net.arrays().values())


MEANS = fit.Means(seed=1, threads=1, say=lambda _: None)


def test_networks_learn_of_the_calibrating_rows_in_the_end_and_of_no_later_ones(run, data, parts):
    views = fit._views(data, parts.train, ())
    taught = fit._nets(views, run.model.heads, MEANS)
    heads = {horizon: head._replace(nets=taught[horizon]) for horizon, head in run.model.heads.items()}

    def renewed(rows):
        """Where all returns of these rows had been others."""
        changed = {horizon: target.copy() for horizon, target in data.targets.items()}
        for target in changed.values():
            target[rows] = -1.5
        return fit.renew(replace(data, targets=changed), parts, heads, MEANS)

    as_it_is = renewed(parts.test[:0])
    assert nets(as_it_is) != nets(heads)
    assert nets(renewed(parts.test)) == nets(as_it_is)
    assert nets(renewed(parts.calibrate)) != nets(as_it_is)
    for horizon, head in as_it_is.items():
        assert head._replace(nets=()) == heads[horizon]._replace(nets=())
