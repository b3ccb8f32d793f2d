// Writes what the binary is made of, as CycloneDX 1.6, from `cargo metadata` (stdin) and Cargo.lock (first argument).
//
// The same commit gives the same bytes: the time is that of SOURCE_DATE_EPOCH, the serial number follows from the content,
// and nothing names a folder of the machine. What is needed for building alone is there with the scope `excluded`; what is needed
// for tests alone is not.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const metadata = JSON.parse(readFileSync(0, "utf8"));
const lock = readFileSync(process.argv[2], "utf8");

// name@version → SHA-256 of what was downloaded.
const checksums = new Map(
  lock.split("[[package]]").flatMap((block) => {
    const field = (name) => block.match(new RegExp(`^${name} = "(.*)"$`, "m"))?.[1];
    return field("checksum") ? [[`${field("name")}@${field("version")}`, field("checksum")]] : [];
  }),
);

const packages = new Map(metadata.packages.map((each) => [each.id, each]));
const nodes = new Map(metadata.resolve.nodes.map((each) => [each.id, each]));
const root = metadata.packages.find((each) => each.name === "consentry");
const ref = (id) => `pkg:cargo/${packages.get(id).name}@${packages.get(id).version}`;
const uses = (id, kinds) =>
  nodes.get(id).deps.filter((dep) => dep.dep_kinds.some(({ kind }) => kinds.includes(kind))).map((dep) => dep.pkg);

/** What is reached from the binary by dependencies of these kinds. */
function reached(kinds) {
  const seen = new Set([root.id]);
  for (const id of seen) {
    for (const dep of uses(id, kinds)) seen.add(dep);
  }
  return seen;
}
const inBinary = reached([null]);
const inBuild = reached([null, "build"]);

const component = (id) => {
  const { name, version, license, repository, source } = packages.get(id);
  const checksum = checksums.get(`${name}@${version}`);
  return {
    type: id === root.id ? "application" : "library",
    "bom-ref": ref(id),
    name,
    version,
    ...(id === root.id ? {} : { scope: inBinary.has(id) ? "required" : "excluded" }),
    ...(checksum ? { hashes: [{ alg: "SHA-256", content: checksum }] } : {}),
    // Older manifests write `A/B` where SPDX has `A OR B`.
    ...(license ? { licenses: [{ expression: license.replaceAll("/", " OR ").replace(/ +/g, " ") }] } : {}),
    // A package of the workspace is in no registry.
    ...(source ? { purl: ref(id) } : {}),
    ...(repository && source ? { externalReferences: [{ type: "vcs", url: repository }] } : {}),
  };
};

const byRef = (a, b) => (ref(a) < ref(b) ? -1 : 1);
const all = [...inBuild].sort(byRef);
const bom = {
  $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  version: 1,
  metadata: {
    ...(process.env.SOURCE_DATE_EPOCH ? { timestamp: new Date(process.env.SOURCE_DATE_EPOCH * 1000).toISOString() } : {}),
    component: component(root.id),
  },
  components: all.filter((id) => id !== root.id).map(component),
  dependencies: all.map((id) => ({ ref: ref(id), dependsOn: [...new Set(uses(id, [null, "build"]))].filter((dep) => inBuild.has(dep)).sort(byRef).map(ref) })),
};
const digest = createHash("sha256").update(JSON.stringify(bom)).digest("hex");
// Version 8 of RFC 9562: the content decides.
const serial = [digest.slice(0, 8), digest.slice(8, 12), `8${digest.slice(13, 16)}`, `a${digest.slice(17, 20)}`, digest.slice(20, 32)].join("-");
console.log(JSON.stringify({ ...bom, serialNumber: `urn:uuid:${serial}` }, null, 1));
