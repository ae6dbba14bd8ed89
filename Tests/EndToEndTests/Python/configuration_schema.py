"""Says what a JSON Schema finds wrong with a YAML file: configuration_schema.py SCHEMA FILE. Nothing, if that is nothing."""

import json
import pathlib
import re
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2, as editors read it: `off` is text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))

schema, file = (pathlib.Path(path).read_text() for path in sys.argv[1:])
validator = jsonschema.Draft7Validator(json.loads(schema))
validator.check_schema(validator.schema)
for error in validator.iter_errors(yaml.load(file, Loader)):
    print(".".join(map(str, error.absolute_path)) + ": " + error.message)
