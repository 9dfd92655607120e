"""Apps on a port of the notebook: gradio, streamlit, TensorBoard and whatever else listens on the instance's loopback.

Each has a host of its own where notebooks have (`relay.py`), else a path of the lab's origin (`path.py`).
"""
