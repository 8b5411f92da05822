"""The report: one self-contained HTML page with all that a run of the pipeline came to."""
