"""What else is changed in the copy: wiring, scripts, places, kernels, conda packages."""
