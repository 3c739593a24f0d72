"""Lightning callbacks: the gallery, averaged weights, a progress bar, and saving when a signal arrives."""
