"""Reward models for other engines: their files, what to check them by, and how to run them.

engines     what each engine can load, and what has to be known to get raw rewards from it
classifier  a sequence-classification directory, for vLLM, SGLang, transformers and TEI
graph       the whole model as one ONNX graph
golden_file golden texts with their rewards, beside the model
run         all of it
"""
