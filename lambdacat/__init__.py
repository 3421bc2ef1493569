"""Plans as values: build once, then run, trace, price, draw or rewrite the same value."""
