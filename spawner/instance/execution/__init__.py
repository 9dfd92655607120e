"""Cells run on the server, so that their output is kept in the notebook when no tab is open.

`jupyter-server-nbmodel` has JupyterLab send a cell to the server instead of to the kernel, and `jupyter-server-ydoc`
holds the open notebook on the server, where the outputs are written. What runs the cells is ours (`stack.py`), behind
nbmodel's HTTP API: nbmodel's own does not notice that a kernel has ended, drops updates of displays, does not know
the Output widget, and takes time that grows with the square of the output.
"""
