"""What stands in a wheel or in an environment: metadata, libraries, search paths, GPU code."""
