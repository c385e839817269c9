"""Checks what stands in deploy/ with the checkers of those for whom it is made:

    check.py kubernetes | kserve | queries

kubernetes  the manifests against Kubernetes' own schemas, strictly: an unknown field is an error
kserve      the InferenceService against the types of KServe's Python SDK, and the pod in it as above
queries     the queries of the alerts and of the dashboard by a parser of PromQL
"""

import importlib.util
import json
import pathlib
import re
import sys
import types

DEPLOY = pathlib.Path(__file__).parent.parent
# The oldest and the newest Kubernetes for which the manifests are made.
KUBERNETES = ["1.30", "1.37"]


def documents(path):
    import yaml

    return list(yaml.safe_load_all((DEPLOY / path).read_text()))


def validate(document):
    import kubernetes_validate

    name = f"{document['kind']} {document['metadata']['name']}"
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            sys.exit(f"{name}, Kubernetes {version}: {path}: {error.message}")
        print(f"{name}: right for Kubernetes {version}")


def kubernetes():
    for document in documents("kubernetes/edge-server.yaml"):
        validate(document)


def kserve():
    (service,) = documents("kserve/inference-service.yaml")
    # The SDK's package would load a whole model server; only its types are wanted here.
    package = types.ModuleType("kserve")
    package.__path__ = list(importlib.util.find_spec("kserve").submodule_search_locations)
    sys.modules["kserve"] = package
    import kserve.models

    left = fit(kserve.models, service, "V1beta1InferenceService", "")
    print("InferenceService: right for KServe's SDK")
    pod = {field: value for path, value in left.items() if (field := own(path, ".spec.predictor."))}
    others = [path for path in left if not own(path, ".spec.predictor.") and path != ".metadata"]
    if others:
        sys.exit(f"not checked: {others}")
    metadata = {"name": service["metadata"]["name"]}
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})


def own(path, prefix):
    """The field's name, where the path is of a field right behind the prefix."""
    name = path.removeprefix(prefix)
    return name if name != path and "." not in name else None


PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def fit(models, value, kind, path):
    """Ends the program when a value is not of its kind; what is of Kubernetes' own types, by path."""
    if kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (kind == "int" and isinstance(value, bool)):
            sys.exit(f"{path}: {value!r} is no {kind}")
        return {}
    if inner := re.fullmatch(r"dict\(str, (.*)\)", kind):
        return merge(fit(models, item, inner[1], f"{path}.{key}") for key, item in value.items())
    if (inner := re.fullmatch(r"list\[(.*)\]", kind)) and hasattr(models, inner[1]):
        return merge(fit(models, item, inner[1], f"{path}[]") for item in value)
    model = getattr(models, kind, None)
    if model is None:
        return {path: value}
    fields = {json_name: name for name, json_name in model.attribute_map.items()}
    found = {}
    for field, item in value.items():
        if field not in fields:
            sys.exit(f"{path}: {kind} has no field {field}")
        found |= fit(models, item, model.openapi_types[fields[field]], f"{path}.{field}")
    return found


def merge(several):
    return {path: value for found in several for path, value in found.items()}


def queries():
    import promql_parser

    alerts = [
        rule["expr"]
        for document in documents("prometheus-alerts.yaml")
        for group in document["groups"]
        for rule in group["rules"]
    ]
    dashboard = json.loads((DEPLOY / "grafana/edge-server.json").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for query in alerts + panels:
        # What Grafana puts in place of its own variable is a duration.
        try:
            promql_parser.parse(query.replace("$__rate_interval", "1m"))
        except ValueError as error:
            sys.exit(f"{query}: {error}")
    print(f"{len(alerts)} queries of alerts and {len(panels)} of the dashboard are PromQL")


{"kubernetes": kubernetes, "kserve": kserve, "queries": queries}[sys.argv[1]]()
