"""Pictures and tables for plots: confusion, galleries of mistakes, learning curves. The only room with matplotlib."""
