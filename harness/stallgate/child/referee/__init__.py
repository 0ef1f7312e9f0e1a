"""The referee: the process in which outputs are compared, and in which no variant's code ever runs.

It alone loads the problem's reference. It makes the inputs, lends them to the measuring child, takes each output back
and says whether it is right. It runs beside ncu, not under it, and needs the standard library and torch.
"""
