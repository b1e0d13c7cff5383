"""Replace servers one by one while runs and followers are in flight."""
