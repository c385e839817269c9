"""Triton's own client against an edge server: python triton_client.py HOST:PORT ROOT FRAMES

ROOT is the project's root, FRAMES a folder that `aecnn-load encode` has written.
"""

import json
import pathlib
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

address, root, frames = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
MODEL = "resnet50-imagenet"
client = triton.InferenceServerClient(address)


def infer(model, name, array, datatype, **options):
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return client.infer(model, [tensor], **options)


assert client.is_server_live() and client.is_server_ready()
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]

for name in (MODEL, f"{MODEL}.stage2", f"{MODEL}.klt-stage2"):
    assert client.is_model_ready(name) and client.is_model_ready(name, "1"), name
    metadata = client.get_model_metadata(name)
    assert metadata["outputs"][0]["shape"] == [-1, 1000], metadata
assert not client.is_model_ready("another")

# Whole pictures, two in one request; classes and values.
picture = (root / "web/samples/balloon.jpg").read_bytes()
two = np.array([picture, picture], dtype=object)
top = infer(MODEL, "picture", two, "BYTES", request_id="7",
            outputs=[triton.InferRequestedOutput("probabilities", class_count=3)])
assert top.get_response()["id"] == "7"
first = top.as_numpy("probabilities")
assert first.shape == (2, 3) and first[0, 0].decode().endswith(":balloon"), first
values = infer(MODEL, "picture", two, "BYTES",
               outputs=[triton.InferRequestedOutput("logits", binary_data=True),
                        triton.InferRequestedOutput("probabilities", binary_data=False)])
logits, probabilities = values.as_numpy("logits"), values.as_numpy("probabilities")
assert logits.shape == probabilities.shape == (2, 1000)
assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)
assert (logits.argmax(axis=1) == probabilities.argmax(axis=1)).all()

# A feature as it is.
shape = client.get_model_metadata(f"{MODEL}.stage2")["inputs"][0]["shape"]
feature = np.zeros([1, *map(int, shape[1:])], dtype=np.float32)
answer = infer(f"{MODEL}.stage2", "feature", feature, "FP32",
               outputs=[triton.InferRequestedOutput("logits")])
assert answer.as_numpy("logits").shape == (1, 1000)

# Coded frames.
hello = json.loads((frames / "hello.json").read_text())
for index, expected in enumerate(hello["pictures"]):
    frame = np.array([(frames / f"{index}.frame").read_bytes()], dtype=object)
    answer = infer(f"{MODEL}.{hello['codec_name']}", "frame", frame, "BYTES",
                   outputs=[triton.InferRequestedOutput("probabilities", class_count=1)])
    label = answer.as_numpy("probabilities")[0, 0].decode().split(":", 2)[2]
    if "balloon" in expected:
        assert label == "balloon", (expected, label)

# What is wrong is said.
try:
    infer(MODEL, "picture", np.array([b"no picture"], dtype=object), "BYTES")
except InferenceServerException as error:
    assert "415" in str(error.status()), error
else:
    raise AssertionError("no picture was taken for one")
print("tritonclient: right")
