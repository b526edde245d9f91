"""Tools for the files of persistence: what `sharedstate check`, `dump`, `restore` do."""
