"""Stage 1: learn the potential of each modality, which measures how unusual a sample is."""
