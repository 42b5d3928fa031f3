"""How anything is trained: objectives, optimizer, batches, seeds, devices. It knows no EMMA."""
