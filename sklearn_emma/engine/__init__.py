"""Generic training: objectives, optimizer, batches, seeds and devices, independent of EMMA."""
