"""Models that say what is in an image, one kind a module, each behind the same question."""
