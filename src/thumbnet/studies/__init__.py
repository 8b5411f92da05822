"""Studies: many runs of the pipeline that answer one question, declared in a file of `studies/`."""
