"""Where a worker's time and memory go while it is loaded: samples of its stacks, its threads, its heap."""
