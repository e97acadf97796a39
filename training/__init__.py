"""The training job and its pipeline, in flat verbs: read, split, tune, fit, evaluate, weigh, publish."""
