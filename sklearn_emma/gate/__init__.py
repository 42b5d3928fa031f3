"""Stage 2: from the potentials of the modalities to attention, and from there to a prediction."""
