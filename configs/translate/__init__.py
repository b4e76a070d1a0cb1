"""Translation: images from images."""
