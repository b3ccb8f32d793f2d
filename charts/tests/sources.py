"""What the chart's own files must keep to.

    sources.py HELM WORK [--binary FILE] [--update]

The table of values in README.md says what values.yaml says. Rules and dashboards speak of metrics and labels of metrics.txt
alone. Every alert has a runbook, every runbook an alert, and every alert a test in which it fires and one in which it does not.
Templates look nothing up and throw no dice. Each file in bad/ is refused for the reason in its first line. WORK gets the
queries of dashboards as rules, for promtool. With a binary, every command that runbooks and instructions tell to run is there, and
it reads the configurations that are rendered. With --update README.md is written anew.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
CHART = HERE.parent / "consentry"
RUNBOOKS = HERE.parent.parent / "docs" / "runbooks"
# Labels that come with the target and not with the metric.
TARGET = {"namespace", "pod", "job", "instance", "le"}


# --- The table of values -----------------------------------------------------------------------------------------------------


def values_table():
    """The rows of README.md, made of the comments in values.yaml; and values without one."""
    rows, bare, path, comment = [], [], [], []
    for number, line in enumerate((CHART / "values.yaml").read_text().splitlines(), 1):
        stripped = line.strip()
        if not stripped:
            comment = []
        elif stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
        elif match := re.match(r"^( *)([A-Za-z]+):(?: (.*))?$", line):
            depth, key, value = len(match[1]) // 2, match[2], match[3]
            if path and "resources" in path[:depth]:
                continue
            path = path[:depth] + [key]
            if value is None and key != "resources":
                if comment:
                    bare.append(f"values.yaml:{number}: {key} is a section, and its comment is in no table")
                continue
            if not comment:
                bare.append(f"values.yaml:{number}: {'.'.join(path)} has no comment")
            default = "see values.yaml" if value is None else f"`{value}`"
            rows.append(f"| `{'.'.join(path)}` | {default} | {' '.join(comment)} |".replace("``", "`\"\"`"))
            comment = []
    return "\n".join(["| value | if nothing is said | |", "|---|---|---|", *rows]), bare


def readme(update):
    table, wrong = values_table()
    file = CHART / "README.md"
    text = file.read_text()
    begin, end = "<!-- values: made of values.yaml by `make charts UPDATE=1` -->\n", "<!-- /values -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    if not rest or not tail:
        return wrong + ["README.md: the marks of the table of values are gone"]
    new = f"{head}{begin}{table}\n{end}{tail}"
    if update:
        file.write_text(new)
    elif new != text:
        wrong.append("README.md: the table of values is not that of values.yaml (`make charts UPDATE=1`)")
    return wrong


def schema_is_strict():
    """No object of the schema takes keys that it does not name, and each value of values.yaml is in it."""
    schema = json.loads((CHART / "values.schema.json").read_text())

    def objects(node, path):
        if isinstance(node, dict):
            if node.get("type") == "object" and "additionalProperties" not in node and path != "/properties/global":
                yield f"values.schema.json: {path} takes anything"
            for key, value in node.items():
                yield from objects(value, f"{path}/{key}")

    yield from objects(schema, "")


# --- Metrics -----------------------------------------------------------------------------------------------------------------


def metrics():
    """Each name that a query may have, with its labels."""
    known = {}
    for line in (CHART / "metrics.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, kind, labels, text = line.split(" ", 3)
        assert kind in ("counter", "gauge", "histogram") and text.endswith("."), line
        assert (kind == "counter") == name.endswith("_total"), line
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            known[name + suffix] = set() if labels == "-" else set(labels.split(","))
    return known


def rules():
    for file in sorted((CHART / "rules").glob("*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                yield file.name, rule


def dashboards():
    for file in sorted((CHART / "dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{file.name}: ${variable['name']}", re.fullmatch(r"label_values\((.*), \w+\)", variable["query"])[1]


def queries():
    known = metrics()
    recorded = {rule["record"] for _, rule in rules() if "record" in rule}
    asked = [(f"{file}: {rule.get('alert', rule.get('record'))}", rule["expr"]) for file, rule in rules()] + list(dashboards())
    used = set()
    for where, query in asked:
        for name, matchers in re.findall(r"\b(consentry[_:][a-z0-9_:]+)(?:\{([^}]*(?:\{[^}]*\}[^}]*)*)\})?", query):
            if name.startswith("consentry:"):
                if name not in recorded:
                    yield f"{where}: {name} is recorded by no rule"
                continue
            if name not in known:
                yield f"{where}: {name} is no metric of metrics.txt"
                continue
            used.add(name)
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers):
                if label not in known[name] | TARGET:
                    yield f"{where}: {name} has no label {label}"
        names = set(re.findall(r"\b(consentry_[a-z0-9_]+)", query)) & known.keys()
        if names and "consentry:" not in query:
            labels = TARGET.union(*(known[name] for name in names))
            for group in re.findall(r"\bby \(([^)]*)\)", query):
                for label in filter(None, re.split(r",\s*", group)):
                    if label not in labels:
                        yield f"{where}: nothing here has a label {label}"
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    for name in sorted({re.sub(r"_(bucket|sum|count)$", "", name) for name in known} - shown):
        yield f"metrics.txt: {name} is on no dashboard and in no rule"


def dashboard_layout():
    """Panels do not overlap, and ids are unique."""
    for file in sorted((CHART / "dashboards").glob("*.json")):
        panels = json.loads(file.read_text())["panels"]
        if len({panel["id"] for panel in panels}) != len(panels):
            yield f"{file.name}: an id comes twice"
        cells = [(x, y) for panel in panels for place in [panel["gridPos"]]
                 for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]
        if len(set(cells)) != len(cells) or max(x for x, _ in cells) > 23:
            yield f"{file.name}: panels overlap"


def queries_as_rules(work):
    """Grafana's variables filled in, so that promtool can read the queries."""
    filled = [query.replace("$__rate_interval", "5m").replace("$region", ".*").replace("$bank", ".*") for _, query in dashboards()]
    groups = [{"name": "dashboards", "rules": [{"record": f"dashboard:query_{number}", "expr": query} for number, query in enumerate(filled)]}]
    (work / "dashboards.yaml").write_text(yaml.safe_dump({"groups": groups}))


# --- Alerts and runbooks -----------------------------------------------------------------------------------------------------

PARTS = ("What it means", "How to see it", "What to do", "How it was tried", "When it ends")


def alerts():
    linked = set()
    for file, rule in rules():
        if "alert" not in rule:
            continue
        name = rule["alert"].removeprefix("Consentry")
        wanted = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() + ".md"
        if rule["annotations"]["runbook_url"] != f"RUNBOOKS/{wanted}":
            yield f"{file}: {rule['alert']} does not link to {wanted}"
        linked.add(wanted)
        if not (RUNBOOKS / wanted).exists():
            yield f"docs/runbooks/{wanted} is missing"
    for runbook in sorted(RUNBOOKS.glob("*.md")):
        if runbook.name == "README.md":
            continue
        text = runbook.read_text()
        if runbook.name not in linked:
            yield f"docs/runbooks/{runbook.name} is of no alert"
        for part in PARTS:
            if f"\n## {part}\n" not in text:
                yield f"docs/runbooks/{runbook.name} does not say: {part}"
        if runbook.name not in (RUNBOOKS / "README.md").read_text():
            yield f"docs/runbooks/README.md does not list {runbook.name}"
    fired, silent = set(), set()
    for file in (HERE / "rules").glob("*.yaml"):
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                if not case["exp_alerts"]:
                    silent.add(case["alertname"])
                fired |= {(case["alertname"], alert["exp_labels"]["severity"]) for alert in case["exp_alerts"]}
    for _, rule in rules():
        if "alert" in rule and (rule["alert"], rule["labels"]["severity"]) not in fired:
            yield f"tests/rules: {rule['alert']} ({rule['labels']['severity']}) never fires"
        if "alert" in rule and rule["alert"] not in silent:
            yield f"tests/rules: nothing shows that {rule['alert']} can be silent"


# --- Templates and bad values ------------------------------------------------------------------------------------------------


def templates():
    forbidden = r"\b(lookup|rand[A-Z]\w*|gen[A-Z]\w*Cert|genCA|genPrivateKey|uuidv4|now|htpasswd|bcrypt|derivePassword|getHostByName|env|expandenv)\b"
    for file in sorted((CHART / "templates").iterdir()):
        # What is done: neither comments nor what is written out.
        for action in re.findall(r"\{\{-?\s*(?!/\*)(.*?)-?\}\}", file.read_text(), re.S):
            if word := re.search(r"(?<![.\w\"])" + forbidden + r"(?!\")", action):
                yield f"templates/{file.name}: {word[1]} gives another answer each time, or asks a cluster"


def bad_values(helm):
    for file in sorted((HERE / "bad").glob("*.yaml")):
        wanted = file.read_text().splitlines()[0].removeprefix("# ")
        base = "embedded" if "embedded" in file.stem else "region"
        done = subprocess.run([helm, "template", "consentry", CHART, "--values", CHART / "values" / f"{base}.yaml", "--values", file],
                              capture_output=True, text=True)
        if done.returncode == 0:
            yield f"bad/{file.name} was taken"
        elif wanted not in done.stderr:
            yield f"bad/{file.name} was refused, but not for {wanted!r}: {done.stderr.strip()}"


def examples():
    """Every document can be read, and every file of values that it names is there."""
    for file in sorted((HERE.parent / "examples").glob("*.yaml")):
        text = file.read_text()
        list(yaml.safe_load_all(text))
        for named in re.findall(r"values/[a-z{}. -]+\.yaml", text):
            for region in ("eu", "uk"):
                if not (CHART / named.replace("{{ .region }}", region)).exists():
                    yield f"examples/{file.name}: there is no {named}"


# --- Commands ----------------------------------------------------------------------------------------------------------------

# Those that come with `consentry serve`; each leaves this list when it is there.


def commands(binary):
    """What the documents tell to run: `here …` and `in_pod …` of the runbooks, `consentry …` everywhere."""
    root = HERE.parent.parent
    for file in [*sorted(RUNBOOKS.glob("*.md")), root / "docs" / "deployment.md", *sorted((root / "charts").rglob("README.md"))]:
        told = re.findall(r"(?:^|`|&& |\| )(?:here|in_pod|consentry) ((?:[a-z][a-z-]*(?![\w./:$-]) ?)+)", file.read_text(), re.M)
        for command in sorted({" ".join(words.split()) for words in told}):
            is_there = subprocess.run([binary, *command.split(), "--help"], capture_output=True).returncode == 0
            if not is_there:
                yield f"{file.relative_to(root)}: there is no `consentry {command}`"


# --- What the program reads --------------------------------------------------------------------------------------------------


def config_maps(rendered):
    for document in yaml.safe_load_all(rendered.read_text()):
        if document and document["kind"] == "ConfigMap":
            yield document.get("data", {})


def unread(binary, folder, files):
    """What the program says of files that it cannot read, but for what other files would be needed for."""
    # Nothing of it is said by the environment, which the program would read as well.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}

    def said(command):
        told = [binary, "config", command, "--config", folder / "consentry.toml"]
        return subprocess.run(told, capture_output=True, text=True, env=environment)

    for name, text in files.items():
        (folder / name).write_text(text.replace("/run/consentry/cell/cell.toml", str(folder / "cell.toml")))
    done = said("show")
    if done.returncode:
        return done.stderr
    if "cell.toml" in files:
        done = said("check")
        told = done.stdout + done.stderr
        return told if "tells of no cell" in told else ""
    return ""


def configurations(binary, work):
    """Configurations as they are rendered are configurations to the program; with a key that nobody knows they are not."""
    folder = work / "configurations"
    folder.mkdir(exist_ok=True)
    seen = set()
    for rendered in sorted((work / "rendered").glob("*.yaml")):
        maps = list(config_maps(rendered))
        cell = {"cell.toml": data["cell.toml"] for data in maps if "cell.toml" in data}
        for text in [data["consentry.toml"] for data in maps if "consentry.toml" in data]:
            files = {"consentry.toml": text} | (cell if "cell_file" in text else {})
            if why := unread(binary, folder, files):
                yield f"{rendered.name}: the program does not read its configuration: {why.strip()}"
            for name in files:
                seen.add(name)
                if not unread(binary, folder, files | {name: f"nobody_knows = 1\n{files[name]}"}):
                    yield f"{rendered.name}: the program reads {name} with a key that nobody knows"
    if seen != {"consentry.toml", "cell.toml"}:
        yield f"configurations were not looked at, but {sorted(seen)}"


def main(helm, work, binary, update):
    wrong = readme(update)
    for check in (schema_is_strict(), queries(), dashboard_layout(), alerts(), templates(), examples(), bad_values(helm)):
        wrong += check
    if binary:
        wrong += [*commands(binary), *configurations(binary, Path(work))]
    queries_as_rules(Path(work))
    number = len(list((HERE / "bad").glob("*.yaml")))
    print("\n".join(wrong) or f"values, metrics, alerts and runbooks fit; {number} bad values are refused")
    return 1 if wrong else 0


if __name__ == "__main__":
    named = sys.argv[sys.argv.index("--binary") + 1] if "--binary" in sys.argv else None
    sys.exit(main(sys.argv[1], sys.argv[2], named, "--update" in sys.argv))
