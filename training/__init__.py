"""The training job and its pipeline, in flat verbs: read, split, tune, fit, evaluate, weigh, publish."""

import os

# By default a thread of OpenMP that has nothing to do spins, and takes the processor from those that have: on shared
# cores a booster then took two to seven times the CPU. It is read when xgboost is loaded, so nowhere later than here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
