"""Networks: written in a line (`notation`), built as PyTorch modules (`builder`, `layers`)."""
