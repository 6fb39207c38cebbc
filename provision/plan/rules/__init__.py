"""The rules: each one small function that names its source and returns obstacles and caveats."""
