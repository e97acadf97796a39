"""The simple forecasters every model is measured beside: a causal volatility times the quantiles learnt in training.

naive holds the volatility constant; ewma is RiskMetrics'; har regresses the volatility to come on those of the last
minutes to the last day (Corsi 2009); garch is GARCH(1,1) (Bollerslev 1986) as `arch` fits it; look_back is the one that
is served where no model may be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Self

import numpy as np

from btc import baselines, labels
from btc.baselines import Har, empirical, realised
from btc.forecasts import LEVELS
from btc.minutes import Floats, Ints, Minutes
from btc.paths import steps
from btc.windows import mean_square, square_prefix
from training.dataset import Dataset

NAMES: Final = ("naive", "ewma", "har", "garch", "look_back")
GARCH_MINUTES: Final = 300_000
"""The newest minutes of the training that GARCH is fitted on: more change its three numbers little and take minutes."""

_UNIT: Final = 1e4
"""arch's optimiser wants returns of about 1: basis points."""
_ROUNDING: Final = 1e-6
_RISK_METRICS: Final = (0.055, 0.94)
"""Shock and memory of RiskMetrics, a little less of them so that the variance returns to its mean."""
_SMALLEST: Final = 1e-6
"""Volatility per √minute below which the price hardly moves."""


@dataclass(frozen=True)
class Garch:
    """v(t+1) = constant + shock · r(t)² + memory · v(t), in squared basis points a minute."""

    constant: float
    shock: float
    memory: float
    fallback: str | None = None
    """Why these are not what maximises the likelihood."""

    @classmethod
    def fitted(cls, minutes: Minutes, train: Ints) -> Self:
        """By maximum likelihood on the minutes up to the last training row, GARCH_MINUTES at the most.

        Where the optimiser comes to no end from two starts, its last point or RiskMetrics' weights: what is likelier.
        """
        from arch import arch_model  # noqa: PLC0415 - it brings statsmodels: seconds that only an evaluation spends

        last = int(train[-1]) + 1
        returns = _UNIT * steps(np.log(minutes[max(int(train[0]), last - GARCH_MINUTES) : last].close))
        shock, memory = _RISK_METRICS
        least = (_UNIT * _SMALLEST) ** 2
        variance = float(np.mean(returns**2))
        plain = ((1 - shock - memory) * max(variance, least), shock, memory)
        if variance < least:
            return cls(*plain, "the price hardly moves; RiskMetrics' weights are taken")
        model = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False)
        for start in (None, np.array(plain)):
            found = model.fit(starting_values=start, disp="off", show_warning=False)
            constant, shock, memory = (float(value) for value in found.params)
            sound = min(constant, shock, memory) >= 0 and shock + memory <= 1 + _ROUNDING
            if sound and found.convergence_flag == 0:
                return cls(constant, shock, memory)
        reason = f"the optimiser came to no end: {found.optimization_result.message}"
        if sound and found.loglikelihood >= model.fix(plain).loglikelihood:
            return cls(constant, shock, memory, f"{reason}; its last point is taken")
        return cls(*plain, f"{reason}; RiskMetrics' weights are taken")

    def volatility(self, minutes: Minutes, horizon: int) -> Floats:
        """Expected volatility (n,) of the log return over the horizon, from what is known at each minute's close."""
        squares = (_UNIT * steps(np.log(minutes.close))) ** 2
        shocks = (self.constant + self.shock * squares).tolist()
        variance = np.array(list(accumulate(shocks, lambda last, shock: shock + self.memory * last)))
        expected = np.zeros(len(minutes))
        for _ in range(horizon):
            expected += variance
            variance = self.constant + (self.shock + self.memory) * variance
        return np.asarray(np.sqrt(expected) / _UNIT)


def har(minutes: Minutes, train: Ints, horizon: int) -> Har:
    """By least squares on the realised volatilities before each training row, and the spread they leave."""
    squares = square_prefix(steps(np.log(minutes.close)) ** 2)
    ahead = np.full(len(minutes), np.nan)
    ahead[:-horizon] = np.sqrt(mean_square(squares, horizon))[horizon:]
    inputs, rows = realised(minutes), train[np.isfinite(ahead[train])]
    weights, *_ = np.linalg.lstsq(inputs[rows], ahead[rows], rcond=None)
    taught = Har(weights, np.zeros(len(LEVELS)))
    returns = labels.returns(minutes, horizon)[train]
    return taught._replace(spread=empirical(returns / taught.volatility(inputs[train], horizon)))


def quantiles(dataset: Dataset, train: Ints, test: Ints, horizon: int, garch: Garch) -> Mapping[str, Floats]:
    """Log return quantiles (n, levels) of each baseline on the test rows; all but look_back learn from `train`."""
    minutes = dataset.minutes
    returns = labels.returns(minutes, horizon)
    taught = har(minutes, train, horizon)

    def scaled(volatility: Floats) -> Floats:
        return volatility[test, None] * empirical(returns[train] / volatility[train])

    return {
        "naive": np.broadcast_to(empirical(returns[train]), (len(test), len(LEVELS))),
        "ewma": scaled(baselines.ewma(minutes)),
        "har": taught.volatility(realised(minutes)[test], horizon)[:, None] * taught.spread,
        "garch": scaled(garch.volatility(minutes, horizon)),
        "look_back": baselines.look_back(minutes, test, horizon),
    }
