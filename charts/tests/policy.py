"""What rendered manifests must keep to, and no common tool knows.

    policy.py FOLDER    # every *.yaml in it: a rendered release each

Kinds that Kubernetes itself does not have are held against crds/. Each rule is tried on a manifest that breaks it,
so that it is known to find something. Prints what is wrong and ends with 1.
"""

import copy
import json
import sys
import tomllib
from pathlib import Path

import yaml
from jsonschema import Draft7Validator

HERE = Path(__file__).parent
WORKLOADS = ("Deployment", "StatefulSet", "Job")
# What an air gap leaves: kinds that every cluster has.
OWN_GROUPS = ("v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1")


class Release:
    """The documents of one rendered release."""

    def __init__(self, documents):
        self.documents = [document for document in documents if document]

    def of(self, *kinds):
        return [document for document in self.documents if document["kind"] in kinds]

    def pods(self):
        """Workloads with their pods' templates."""
        return [(workload, workload["spec"]["template"]) for workload in self.of(*WORKLOADS)]

    def containers(self):
        for workload, pod in self.pods():
            for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
                yield workload, pod, container

    def config(self, file="consentry.toml"):
        for document in self.of("ConfigMap"):
            if file in document.get("data", {}):
                yield tomllib.loads(document["data"][file])


def named(document):
    return f"{document['kind']} {document['metadata']['name']}"


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


# --- Rules: each yields what is wrong ----------------------------------------------------------------------------------------


def custom_kinds(release):
    for document in release.documents:
        schema = HERE / "crds" / f"{document['kind']}.json"
        if document["apiVersion"] in OWN_GROUPS:
            continue
        if not schema.exists():
            yield f"{named(document)}: there is no schema for {document['apiVersion']}"
            continue
        for error in Draft7Validator(json.loads(schema.read_text())).iter_errors(document):
            yield f"{named(document)}: {'.'.join(map(str, error.path))}: {error.message}"


def images(release):
    for workload, _, container in release.containers():
        image = container["image"]
        if "@sha256:" not in image and (":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest")):
            yield f"{named(workload)}: {image} names no version"


def resources(release):
    for workload, _, container in release.containers():
        have = container.get("resources", {})
        if not {"cpu", "memory"} <= have.get("requests", {}).keys() or "memory" not in have.get("limits", {}):
            yield f"{named(workload)}: {container['name']} lacks requests, or a limit of memory"
        if "cpu" in have.get("limits", {}):
            yield f"{named(workload)}: {container['name']} has a limit of CPU"


def confinement(release):
    for workload, pod in release.pods():
        spec, who = pod["spec"], named(workload)
        own = spec.get("securityContext", {})
        if not own.get("runAsNonRoot") or own.get("seccompProfile", {}).get("type") != "RuntimeDefault" or own.get("runAsUser", 0) < 10000:
            yield f"{who}: the pod may be root, or do more than RuntimeDefault"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{who}: has a token of Kubernetes"
        if spec.get("enableServiceLinks") is not False:
            yield f"{who}: variables of Services would be read as configuration"
        if spec.get("hostNetwork") or spec.get("hostPID") or spec.get("hostIPC"):
            yield f"{who}: is on its host"
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        for container in spec.get("initContainers", []) + spec["containers"]:
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or not own.get("readOnlyRootFilesystem") or own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{who}: {container['name']} is not confined"
            places = [mount["mountPath"] for mount in container["volumeMounts"]]
            for mount in container["volumeMounts"]:
                kind = volumes.get(mount["name"], {})
                if not mount.get("readOnly") and "emptyDir" not in kind and mount["name"] not in claims:
                    yield f"{who}: {mount['mountPath']} can be written to"
                # What can be written to takes a mount, what is read-only does not.
                writable = [other["mountPath"] for other in container["volumeMounts"] if not other.get("readOnly")]
                if any(place != mount["mountPath"] and mount["mountPath"].startswith(place + "/") for place in places if place not in writable):
                    yield f"{who}: {mount['mountPath']} lies within another mount"
        for volume in volumes.values():
            if "hostPath" in volume:
                yield f"{who}: {volume['name']} is a folder of the host"
            if "secret" in volume and volume["secret"].get("defaultMode") != 0o440:
                yield f"{who}: {volume['name']} can be read by others"


def probes(release):
    for workload, _, container in release.containers():
        ports = {port["name"] for port in container.get("ports", [])}
        wanted = ("startupProbe", "readinessProbe", "livenessProbe") if "operations" in ports else ("readinessProbe",) if ports else ()
        for probe in wanted:
            if probe not in container:
                yield f"{named(workload)}: {container['name']} has no {probe}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container.get(probe, {}).get("httpGet", container.get(probe, {}).get("tcpSocket", {})).get("port")
            if asked is not None and asked not in ports:
                yield f"{named(workload)}: {probe} asks {asked}, which is not there"


def draining(release):
    for config in release.config():
        longest = sum(int(config["drain"][key].removesuffix("s")) for key in ("before", "longest"))
        for workload, pod in release.pods():
            if pod["spec"].get("terminationGracePeriodSeconds", 30) <= longest:
                yield f"{named(workload)}: is killed before it has drained"


def configuration(release):
    """Every file that consentry.toml and cell.toml name is mounted, where the gateway runs."""
    configs = [*release.config(), *release.config("cell.toml")]
    files = {value for config in configs for value in texts(config) if value.startswith("/")}
    for workload, pod, container in release.containers():
        if container["name"] not in ("gateway", "worker"):
            continue
        for file in files:
            if not any(file == mount["mountPath"] or file.startswith(mount["mountPath"] + "/") for mount in container["volumeMounts"]):
                yield f"{named(workload)}: {file} is not mounted"
        for variable in container.get("env", []):
            if not variable["name"].startswith("CONSENTRY_"):
                yield f"{named(workload)}: {variable['name']} is nothing that the binary reads"


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def secrets(release):
    for document in release.of("Secret"):
        yield f"{named(document)}: secrets are made elsewhere"
    for document in release.of("ConfigMap"):
        for key, text in document.get("data", {}).items():
            if key.endswith(".json"):
                continue
            for sign in ("PRIVATE KEY", "postgres://", "postgresql://", "redis://", "password", "secret ="):
                if sign in text:
                    yield f"{named(document)}: {key} has something secret ({sign})"


def network(release):
    policies = release.of("NetworkPolicy")
    everything = [policy for policy in policies if not policy["spec"].get("ingress") and not policy["spec"].get("egress")]
    for workload, pod in release.pods():
        labels = pod["metadata"]["labels"]
        held = [policy for policy in policies if selects(policy["spec"]["podSelector"], labels)]
        if not any(policy in everything and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"} for policy in held):
            yield f"{named(workload)}: nothing denies what is not named"
        if not any(policy not in everything for policy in held):
            yield f"{named(workload)}: has no policy of its own"
    for policy in policies:
        for way, end in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(way) or []:
                if not rule.get(end) or not rule.get("ports"):
                    yield f"{named(policy)}: a rule of {way} is open at one end: {json.dumps(rule)}"
                for peer in rule.get(end, []):
                    width = int(peer.get("ipBlock", {}).get("cidr", "/32").rsplit("/", 1)[1])
                    if way == "egress" and width < 8:
                        yield f"{named(policy)}: lets out to {peer['ipBlock']['cidr']}"
                    if not any(peer.values()):
                        yield f"{named(policy)}: {json.dumps(peer)} is everybody"


def services(release):
    for service in release.of("Service"):
        fitting = [pod for _, pod in release.pods() if selects({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])]
        if not fitting:
            yield f"{named(service)}: no pod is behind it"
        for pod in fitting:
            ports = {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])}
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in ports:
                    yield f"{named(service)}: {port['targetPort']} is no port of its pods"


def scaling(release):
    deployments = {workload["metadata"]["name"]: workload for workload in release.of("Deployment")}
    scaled = {}
    for scaler in release.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        scaled[target] = scaler["spec"]["minReplicas"]
        if target not in deployments:
            yield f"{named(scaler)}: scales {target}, which is not there"
        elif "replicas" in deployments[target]["spec"]:
            yield f"{named(scaler)}: the Deployment says a number, too, and each rollout would set it back"
    for name, workload in deployments.items():
        labels = workload["spec"]["template"]["metadata"]["labels"]
        if not selects(workload["spec"]["selector"], labels):
            yield f"{named(workload)}: does not select its own pods"
        if workload["spec"]["strategy"]["type"] == "Recreate":
            continue
        if workload["spec"]["strategy"]["rollingUpdate"] != {"maxUnavailable": 0, "maxSurge": 1}:
            yield f"{named(workload)}: a rollout takes away what serves"
        budgets = [budget for budget in release.of("PodDisruptionBudget") if selects(budget["spec"]["selector"], labels)]
        if len(budgets) != 1:
            yield f"{named(workload)}: has {len(budgets)} disruption budgets"
        least = scaled.get(name, workload["spec"].get("replicas", 0))
        for budget in budgets:
            if least - budget["spec"]["maxUnavailable"] < 1:
                yield f"{named(workload)}: an eviction may take the last of {least}"


def mesh(release):
    for workload, pod in release.pods():
        annotations = pod["metadata"].get("annotations", {})
        if annotations.get("linkerd.io/inject") != "enabled":
            continue
        if not {"8443", "8444", "8445", "8446"} <= set(annotations.get("config.linkerd.io/skip-inbound-ports", "").split(",")):
            yield f"{named(workload)}: the mesh would end TLS of ours"
        if workload["kind"] == "Job":
            yield f"{named(workload)}: would never end beside a proxy"


RULES = (custom_kinds, images, resources, confinement, probes, draining, configuration, secrets, network, services, scaling, mesh)


def air_gap(release):
    """Not a rule for all: nothing from elsewhere, and no kinds that a controller has to bring."""
    for document in release.documents:
        if document["apiVersion"] not in OWN_GROUPS:
            yield f"{named(document)}: needs {document['apiVersion']}"
    registries = {container["image"].split("/")[0] for _, _, container in release.containers()}
    if len(registries) != 1:
        yield f"images come from {', '.join(sorted(registries))}"


# --- Manifests that break a rule ---------------------------------------------------------------------------------------------


def first(release, kind, name=""):
    return next(document for document in release.of(kind) if document["metadata"]["name"].endswith(name))


def gateway(release):
    return first(release, "Deployment", "gateway")["spec"]["template"]["spec"]


def breaks(release):
    """Each with the rule that has to notice, and what is done to a fine release."""
    container = gateway(release)["containers"][0]
    yield custom_kinds, lambda r: first(r, "PrometheusRule")["spec"]["groups"][0].update(rulez=[])
    yield custom_kinds, lambda r: first(r, "Certificate")["spec"].pop("secretName")
    yield custom_kinds, lambda r: first(r, "ServiceMonitor").update(apiVersion="monitoring.coreos.com/v2")
    for image in ("consentry", "consentry:latest", "registry.internal:5000/consentry"):
        yield images, lambda r, image=image: gateway(r)["containers"][0].update(image=image)
    yield resources, lambda r: gateway(r)["containers"][0]["resources"]["limits"].update(cpu="1")
    yield resources, lambda r: gateway(r)["containers"][0]["resources"].pop("limits")
    yield resources, lambda r: gateway(r)["containers"][0]["resources"]["requests"].pop("cpu")
    for key in ("runAsNonRoot", "seccompProfile", "runAsUser"):
        yield confinement, lambda r, key=key: gateway(r)["securityContext"].pop(key)
    for key in container["securityContext"]:
        yield confinement, lambda r, key=key: gateway(r)["containers"][0]["securityContext"].pop(key)
    for key in ("automountServiceAccountToken", "enableServiceLinks"):
        yield confinement, lambda r, key=key: gateway(r).pop(key)
    yield confinement, lambda r: gateway(r).update(hostNetwork=True)
    yield confinement, lambda r: gateway(r)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    yield confinement, lambda r: next(v for v in gateway(r)["volumes"] if v["name"] == "bank")["secret"].pop("defaultMode")
    yield confinement, lambda r: [mount.pop("readOnly", None) for mount in gateway(r)["containers"][0]["volumeMounts"]]
    yield confinement, lambda r: gateway(r)["containers"][0]["volumeMounts"].append({"name": "tmp", "mountPath": "/etc/consentry/x"})
    for key in ("startupProbe", "readinessProbe", "livenessProbe"):
        yield probes, lambda r, key=key: gateway(r)["containers"][0].pop(key)
    yield probes, lambda r: gateway(r)["containers"][0]["livenessProbe"]["httpGet"].update(port="health")
    yield draining, lambda r: gateway(r).update(terminationGracePeriodSeconds=30)
    yield configuration, lambda r: gateway(r)["containers"][0]["volumeMounts"].pop()
    yield configuration, lambda r: gateway(r)["containers"][0].update(env=[{"name": "RUST_LOG", "value": "debug"}])
    yield secrets, lambda r: first(r, "ConfigMap", "config")["data"].update({"x": "url = \"postgres://u:p@h/d\""})
    yield secrets, lambda r: r.documents.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})
    yield network, lambda r: r.documents.remove(first(r, "NetworkPolicy", "-deny"))
    yield network, lambda r: first(r, "NetworkPolicy", "-deny")["spec"].update(policyTypes=["Ingress"])
    yield network, lambda r: r.documents.remove(first(r, "NetworkPolicy", "-worker"))
    yield network, lambda r: first(r, "NetworkPolicy", "-gateway")["spec"]["egress"].append({"ports": [{"port": 443}]})
    yield network, lambda r: first(r, "NetworkPolicy", "-gateway")["spec"]["egress"][0].pop("ports")
    yield network, lambda r: first(r, "NetworkPolicy", "-gateway")["spec"]["egress"][0]["to"].append({"ipBlock": {"cidr": "0.0.0.0/0"}})
    yield network, lambda r: first(r, "NetworkPolicy", "-gateway")["spec"]["egress"][0]["to"].append({"namespaceSelector": {}})
    yield network, lambda r: first(r, "NetworkPolicy", "-gateway")["spec"]["ingress"][0].pop("from")
    yield services, lambda r: first(r, "Service", "-api")["spec"]["selector"].update({"app.kubernetes.io/component": "api"})
    yield services, lambda r: gateway(r)["containers"][0]["ports"].pop(0)
    yield scaling, lambda r: first(r, "Deployment", "gateway")["spec"].update(replicas=3)
    yield scaling, lambda r: first(r, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="x")
    yield scaling, lambda r: first(r, "HorizontalPodAutoscaler")["spec"].update(minReplicas=1)
    yield scaling, lambda r: r.documents.remove(first(r, "PodDisruptionBudget", "gateway"))
    yield scaling, lambda r: first(r, "Deployment", "gateway")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1)
    yield mesh, lambda r: first(r, "Deployment", "gateway")["spec"]["template"]["metadata"]["annotations"].update({"linkerd.io/inject": "enabled"})
    yield air_gap, lambda r: None
    yield air_gap, lambda r: gateway(r)["containers"][0].update(image="elsewhere/consentry:1")


def main(folder):
    wrong, releases = [], {}
    for file in sorted(Path(folder).glob("*.yaml")):
        releases[file.stem] = release = Release(list(yaml.safe_load_all(file.read_text())))
        rules = RULES + (air_gap,) if file.stem == "airgapped" else RULES
        wrong += [f"{file.stem}: {rule.__name__}: {what}" for rule in rules for what in rule(release)]
    tried = 0
    for rule, change in breaks(releases["region-eu"]):
        broken = copy.deepcopy(releases["region-eu"])
        change(broken)
        tried += 1
        if not list(rule(broken)):
            wrong.append(f"policy.py: {rule.__name__} does not notice manifest {tried} that breaks it")
    print("\n".join(wrong) or f"{len(releases)} releases keep to {len(RULES) + 1} rules, {tried} broken ones do not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
