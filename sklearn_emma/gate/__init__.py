"""Stage 2: compute attention from the potentials of the modalities, and predict."""
