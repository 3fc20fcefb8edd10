"""How it is run, stored, scored, ranked and shown. The public face is the package `gestaltbench`."""
