"""Monads: how the machine's requests are answered."""
