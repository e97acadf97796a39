"""What the synthesised template costs a month under a given load."""
