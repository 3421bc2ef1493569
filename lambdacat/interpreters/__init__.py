"""Meanings of a plan: one file each, over one machine."""
