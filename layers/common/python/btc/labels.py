"""What a forecast is measured against: the log return over each horizon, in units of the volatility known before it."""

import numpy as np

from btc.minutes import Floats, Minutes


def returns(minutes: Minutes, horizon: int) -> Floats:
    """Log returns (n,) from the close of each minute to the close `horizon` minutes on; NaN where either is unknown."""
    ahead = np.full(len(minutes), np.nan)
    if horizon < len(minutes):
        ahead[:-horizon] = np.log(minutes.close[horizon:] / minutes.close[:-horizon])
        ahead[:-horizon][~(minutes.known[horizon:] & minutes.known[:-horizon])] = np.nan
    return ahead


def targets(minutes: Minutes, horizon: int, scale: Floats) -> Floats:
    """`returns` in units of scale·√horizon (n,), `scale` being the causal volatility per √minute."""
    return np.asarray(returns(minutes, horizon) / (scale * horizon**0.5))
