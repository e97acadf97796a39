"""What a trial tries, by chance that can be had again."""

from functools import lru_cache
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial


class SeededTPE(BaseSampler):
    """TPE (Bergstra et al. 2011) whose chance in a trial depends on a seed and the trial's number alone.

    A study that was stopped between two trials goes on as it would have; what was broken off is not tried again. Where
    trials grow at a time, what the later ones know depends on which of the others are done.
    """

    def __init__(self, seed: int) -> None:
        # One sampler a trial, since threads would draw from a shared one in any order.
        self._of = lru_cache(maxsize=64)(
            lambda number: TPESampler(seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        )

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of(trial.number).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(trial.number).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._of(trial.number).sample_independent(study, trial, param_name, param_distribution)
