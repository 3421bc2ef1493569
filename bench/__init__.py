"""How fast: ratios to hand-written Python in the same run."""
