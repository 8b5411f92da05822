"""thumbnet: reproducible studies of small image classifiers."""

import os

__version__ = "0.1.0"

# Threads that wait for work sleep instead of spinning. Where processes share the cores (queued experiments, a laptop
# in use), spinning threads take them from those that compute: several times slower in all. OpenMP reads this as torch
# loads, and this module comes before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
