"""How good a network is: predictions on disk, metrics with their intervals, ensembles. No torch, no pictures."""
