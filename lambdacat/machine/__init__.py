"""The machine: what every node means, said once for all interpreters."""
