"""What there is to see, one file each; ``ALL`` has them in the order of the page."""
