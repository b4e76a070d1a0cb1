"""Images from noise, learned from one picture."""
