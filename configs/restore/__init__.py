"""Restoration: undamaged images from damaged ones."""
