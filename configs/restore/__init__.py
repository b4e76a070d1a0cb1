"""Whole images from damaged ones."""
