"""thumbnet: reproducible studies of small image classifiers."""

import os

__version__ = "0.1.0"

# How long a thread spins before it sleeps. GNU OpenMP's default is far longer: where processes share the cores (queued
# experiments, a virtual machine with neighbours), threads that spin keep those off that compute, and a training can be
# ten times slower. Sleeping at once costs a third on idle cores. OpenMP reads this as torch loads, after this module.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
