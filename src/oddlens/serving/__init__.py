"""The service: fitted detectors behind HTTP (extra ``serve``).

Torch is imported only where a model is an artifact; exported models (.onnx) are served without.
"""
