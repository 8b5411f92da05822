"""Images from where they are published to arrays that a network can read: download, split, normalise.

Nothing is imported here, so that `thumbnet.data.catalogue` stays quick to import for checks of parameters.
"""
