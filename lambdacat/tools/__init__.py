"""Tools for agents: plain functions and frozen values, free of the kernel."""
