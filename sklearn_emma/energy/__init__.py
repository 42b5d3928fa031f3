"""Stage 1: from one modality to its potential, a measure of how unlike the training data it is."""
