"""What the list of components must be: CycloneDX 1.6 by its own schema, whole, and about this binary.

    components.py FILE
"""

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def wrong(text):
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        yield str(error)
        return
    bom = json.loads(text)
    if bom["metadata"]["component"]["name"] != "consentry":
        yield "it is about something else"
    refs = {component["bom-ref"] for component in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
    for component in bom["components"]:
        if not component.get("licenses"):
            yield f"{component['bom-ref']} has no licence"
        if "purl" in component and not component.get("hashes"):
            yield f"{component['bom-ref']} has no checksum"
    listed = {dependency["ref"] for dependency in bom["dependencies"]}
    for ref in sorted(refs ^ listed):
        yield f"{ref} is a component or a node, and not both"
    for dependency in bom["dependencies"]:
        for ref in set(dependency["dependsOn"]) - refs:
            yield f"{dependency['ref']} depends on {ref}, which is not listed"
    # What everybody knows to be in it.
    for name in ("rustls", "sqlx", "wasmtime"):
        if not any(component["name"] == name for component in bom["components"]):
            yield f"{name} is missing"


def main(file):
    text = Path(file).read_text()
    found = list(wrong(text))
    # That the schema finds anything.
    if not list(wrong(text.replace('"specVersion": "1.6"', '"specVersion": 1.6'))):
        found.append("components.py: a version that is no text is taken")
    print("\n".join(found) or f"{len(json.loads(text)['components'])} components, valid")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
