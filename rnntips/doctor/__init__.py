"""What goes on inside networks: how far back gradients reach, how noisy they are."""
