"""The environment that variants start in: the one that this process started with.

Importing thumbnet sets GOMP_SPINCOUNT (see thumbnet/__init__.py), and a peer must not inherit what thumbnet has chosen
for itself. So this module is imported before thumbnet.
"""

import os

STARTED_WITH = dict(os.environ)
