"""Models and their parts: networks, likelihoods, priors, KL schedules."""
