"""What programs printed → signals → findings."""
