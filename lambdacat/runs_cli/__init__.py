"""The commands of durable runs: looking at those of a journal file, going on with one, answering it, removing it."""
