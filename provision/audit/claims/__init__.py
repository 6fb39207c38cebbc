"""The claims of the matrix held against what was read; pure."""
