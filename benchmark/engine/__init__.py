"""How observers are run: plan, walk the blocks, store chunk by chunk, score."""
