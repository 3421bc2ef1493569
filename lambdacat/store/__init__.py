"""States, journals and runs at rest."""
