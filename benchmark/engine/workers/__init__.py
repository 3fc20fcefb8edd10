"""Several devices in one run: each has a worker in a process of its own, the run itself stores what they answer.

A worker is a process and not a thread because much of torch is set for a whole process (threads, the precision of
matrix products) and because Python computes in one thread at a time. It plans the run again from the same names and is
then asked by observation keys. So it answers only where its stimuli, weights and code are the very same, on another
machine too.
"""
