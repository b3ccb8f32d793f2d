//! The statements of a qualified certificate (RFC 3739 §3.2.6, ETSI EN 319 412-5).

use x509_cert::ext::pkix::CertificatePolicies;

use super::Kind;
use super::der::{Node, OCTET_STRING, SEQUENCE};
use super::psd2;
use super::read::Certificate;
use super::subject::Organisation;
use crate::lint::Finding;

pub(super) const EXTENSION: &str = "1.3.6.1.5.5.7.1.3";
pub(super) const PSD2: &str = "0.4.0.19495.2";
const COMPLIANCE: &str = "0.4.0.1862.1.1";
const SSCD: &str = "0.4.0.1862.1.4";
const PDS: &str = "0.4.0.1862.1.5";
const TYPE: &str = "0.4.0.1862.1.6";
const TYPE_SIGNATURE: &str = "0.4.0.1862.1.6.1";
const TYPE_SEAL: &str = "0.4.0.1862.1.6.2";
const TYPE_WEB: &str = "0.4.0.1862.1.6.3";
const POLICIES: &str = "2.5.29.32";
const QCP_LEGAL: &str = "0.4.0.194112.1.1";
const QCP_LEGAL_QSCD: &str = "0.4.0.194112.1.3";
const QCP_WEB: &str = "0.4.0.194112.1.4";
const QNCP_WEB: [&str; 2] = ["0.4.0.194112.1.5", "0.4.0.194112.1.6"];
const QCP_WEB_PSD2: &str = "0.4.0.19495.3.1";
const SYNTAX: &str = "RFC 3739 §3.2.6";

/// One statement: its identifier, and what it says.
struct Statement<'a> {
    oid: String,
    info: Option<Node<'a>>,
}

/// Whether QcType says that it is for web sites; nothing if it does not say.
pub(super) fn type_stated(certificate: &Certificate) -> Option<bool> {
    let extension = certificate.extension(EXTENSION)?;
    let root = Node::only(extension.extn_value.as_bytes())?;
    let found: Vec<String> = root.leaves().iter().filter_map(Node::oid).collect();
    let web = found.iter().any(|oid| oid == TYPE_WEB);
    (web || found.iter().any(|oid| oid == TYPE_SEAL)).then_some(web)
}

pub(super) fn check(
    certificate: &Certificate,
    kind: Kind,
    organisation: Option<&Organisation>,
    findings: &mut Vec<Finding>,
) {
    let Some(extension) = certificate.extension(EXTENSION) else {
        absent(certificate, kind, organisation, findings);
        policies(certificate, kind, false, findings);
        return;
    };
    if extension.critical {
        findings.push(
            Finding::error(
                "qc-statements-critical",
                "ETSI EN 319 412-5 §4.1",
                "The statements are critical, so whoever does not know them refuses the certificate",
            )
            .meant("qcStatements that are not critical")
            .at(EXTENSION),
        );
    }
    let statements = list(extension.extn_value.as_bytes(), findings);
    let sscd = statements.iter().any(|one| one.oid == SSCD);
    if !statements.is_empty() {
        repeated(&statements, findings);
        qualified(&statements, kind, findings);
        qc_type(&statements, kind, findings);
        psd2_statement(&statements, organisation, findings);
    }
    policies(certificate, kind, sscd, findings);
}

/// No extension of the right name: perhaps it is there under another.
fn absent(
    certificate: &Certificate,
    kind: Kind,
    organisation: Option<&Organisation>,
    findings: &mut Vec<Finding>,
) {
    let misplaced = certificate.extensions().iter().find(|extension| {
        let value = Node::only(extension.extn_value.as_bytes());
        value.is_some_and(|value| psd2::resembles(&value))
    });
    if let Some(extension) = misplaced {
        let oid = extension.extn_id.to_string();
        let own = oid == PSD2;
        let meant = if own {
            format!("one extension {EXTENSION} (qcStatements), and in it the statement {PSD2}")
        } else {
            format!("the same value in the extension {EXTENSION} (qcStatements)")
        };
        findings.push(
            Finding::error(
                "qc-statements-misplaced",
                SYNTAX,
                format!("The statements are in an extension {oid}, where nobody looks for them"),
            )
            .meant(meant)
            .at(oid),
        );
        let value = extension.extn_value.as_bytes();
        if own {
            if let Some(info) = Node::only(value) {
                psd2::check(Some(info), organisation, findings);
            }
            return;
        }
        let statements = list(value, findings);
        qualified(&statements, kind, findings);
        qc_type(&statements, kind, findings);
        psd2_statement(&statements, organisation, findings);
        return;
    }
    let older = kind.is_uk() && organisation.is_none();
    if !older {
        findings.push(
            Finding::error(
                "qc-statements-missing",
                SYNTAX,
                "The certificate has no statements of a qualified certificate",
            )
            .meant(format!("an extension {EXTENSION} with QcCompliance, QcType and the PSD2 statement"))
            .at(EXTENSION),
        );
    }
}

/// The statements, however they are packed.
fn list<'a>(value: &'a [u8], findings: &mut Vec<Finding>) -> Vec<Statement<'a>> {
    let malformed = |says: &str, meant: &str| {
        Finding::error("qc-statements-malformed", SYNTAX, says).meant(meant).at(EXTENSION)
    };
    let form = "SEQUENCE OF statements, each a SEQUENCE of an identifier and what it says";
    let Some(mut root) = Node::only(value) else {
        findings.push(malformed("The statements are not DER", form));
        return Vec::new();
    };
    let mut wraps = 0_usize;
    while let Some(inner) = wrapped(&root).filter(|_| wraps < 4) {
        root = inner;
        wraps += 1;
    }
    if wraps > 0 {
        findings.push(
            Finding::error(
                "qc-statements-wrapped",
                SYNTAX,
                "The statements are wrapped once more than they should be",
            )
            .meant("the SEQUENCE of statements directly in the extension's own OCTET STRING")
            .at(EXTENSION),
        );
    }
    let children = root.children();
    if root.tag != SEQUENCE {
        findings.push(malformed(&format!("The statements are a {} and not a SEQUENCE", root.kind()), form));
    }
    if children.is_empty() {
        findings.push(malformed("There is no statement in the list", form));
    }
    if children.first().is_some_and(|first| first.oid().is_some()) {
        findings.push(
            Finding::error(
                "qc-statements-flattened",
                SYNTAX,
                "The statements are not each in a SEQUENCE of its own",
            )
            .meant(form)
            .at(EXTENSION),
        );
        return flattened(&children);
    }
    children.iter().filter_map(|child| statement(child, findings)).collect()
}

/// What is in a wrapping that should not be there.
fn wrapped<'a>(node: &Node<'a>) -> Option<Node<'a>> {
    if node.tag == OCTET_STRING {
        return Node::only(node.content);
    }
    let children = node.children();
    let [only] = children.as_slice() else { return None };
    if only.tag == OCTET_STRING {
        return Node::only(only.content).filter(Node::is_list);
    }
    // A list whose only element is a list of lists.
    let inner = only.children();
    (only.is_list() && inner.first().is_some_and(|first| first.is_list() && starts_with_oid(first)))
        .then_some(*only)
}

fn starts_with_oid(node: &Node<'_>) -> bool {
    node.children().first().is_some_and(|first| first.oid().is_some())
}

/// Statements one after another in one sequence.
fn flattened<'a>(children: &[Node<'a>]) -> Vec<Statement<'a>> {
    let mut found: Vec<Statement<'a>> = Vec::new();
    for child in children {
        match (child.oid(), found.last_mut()) {
            (Some(oid), _) => found.push(Statement { oid, info: None }),
            (None, Some(last)) if last.info.is_none() => last.info = Some(*child),
            _ => {}
        }
    }
    found
}

fn statement<'a>(node: &Node<'a>, findings: &mut Vec<Finding>) -> Option<Statement<'a>> {
    let children = node.children();
    let Some(oid) = children.first().and_then(Node::oid) else {
        findings.push(
            Finding::error(
                "qc-statement-unnamed",
                SYNTAX,
                format!("A statement is a {} that does not begin with an identifier", node.kind()),
            )
            .meant("SEQUENCE { identifier, what it says }")
            .at(EXTENSION),
        );
        return None;
    };
    if node.tag != SEQUENCE {
        findings.push(
            Finding::error("qc-statement-form", SYNTAX, format!("The statement {oid} is a {}", node.kind()))
                .meant("SEQUENCE { identifier, what it says }")
                .at(oid.as_str()),
        );
    }
    let mut info = children.get(1).copied();
    if children.len() > 2 {
        findings.push(
            Finding::error(
                "qc-statement-form",
                SYNTAX,
                format!("The statement {oid} has {} parts beside its identifier", children.len() - 1),
            )
            .meant("what it says in one value, a SEQUENCE if it has several parts")
            .at(oid.as_str()),
        );
        info = Some(*node);
    } else if let Some(inner) =
        info.filter(|info| info.tag == OCTET_STRING).and_then(|i| Node::only(i.content))
    {
        findings.push(
            Finding::error(
                "qc-statement-wrapped",
                SYNTAX,
                format!("What the statement {oid} says is wrapped in an OCTET STRING"),
            )
            .meant("the value itself, directly after the identifier")
            .at(oid.as_str()),
        );
        info = Some(inner);
    }
    Some(Statement { oid, info })
}

fn repeated(statements: &[Statement<'_>], findings: &mut Vec<Finding>) {
    for (place, one) in statements.iter().enumerate() {
        if statements.iter().take(place).any(|earlier| earlier.oid == one.oid) {
            findings.push(
                Finding::error(
                    "qc-statement-repeated",
                    SYNTAX,
                    format!("The statement {} is made twice", one.oid),
                )
                .meant("each statement once")
                .at(one.oid.as_str()),
            );
        }
    }
}

/// QcCompliance and QcPDS, which qualified certificates of the Union have.
fn qualified(statements: &[Statement<'_>], kind: Kind, findings: &mut Vec<Finding>) {
    if kind.is_uk() {
        return;
    }
    if !statements.iter().any(|one| one.oid == COMPLIANCE) {
        findings.push(
            Finding::error(
                "qc-compliance-missing",
                "ETSI EN 319 412-5 §4.2.1",
                "The certificate does not state that it is qualified",
            )
            .meant(format!("the statement QcCompliance ({COMPLIANCE})"))
            .at(COMPLIANCE),
        );
    }
    match statements.iter().find(|one| one.oid == PDS) {
        None => findings.push(
            Finding::warning(
                "qc-pds-missing",
                "ETSI EN 319 412-5 §4.3.4",
                "The certificate does not say where its terms can be read",
            )
            .meant(format!("the statement QcPDS ({PDS}) with an https address and its language"))
            .at(PDS),
        ),
        Some(pds) => {
            let leaves = pds.info.map(|info| info.leaves()).unwrap_or_default();
            let plain = leaves.iter().filter_map(Node::text).find(|text| text.starts_with("http://"));
            if let Some(address) = plain {
                findings.push(
                    Finding::error(
                        "qc-pds-not-https",
                        "ETSI EN 319 412-5 §4.3.4",
                        format!("The terms are at {address}, which is not https"),
                    )
                    .meant(address.replacen("http", "https", 1))
                    .at(PDS),
                );
            }
        }
    }
}

fn qc_type(statements: &[Statement<'_>], kind: Kind, findings: &mut Vec<Finding>) {
    const CLAUSE: &str = "ETSI EN 319 412-5 §4.2.3";
    let (wanted, name) = if kind.is_for_web() { (TYPE_WEB, "web") } else { (TYPE_SEAL, "eseal") };
    let right = format!("QcType with {name} ({wanted}) alone");
    let types: Vec<String> = statements
        .iter()
        .filter(|one| one.oid == TYPE)
        .flat_map(|one| one.info.map(|info| info.leaves()).unwrap_or_default())
        .filter_map(|leaf| leaf.oid())
        .collect();
    let finding = |rule, says: String| Finding::error(rule, CLAUSE, says).meant(right.as_str()).at(TYPE);
    if types.is_empty() {
        // The type in the place of its statement is a slip that is made often.
        let direct =
            statements.iter().find(|one| [TYPE_WEB, TYPE_SEAL, TYPE_SIGNATURE].contains(&one.oid.as_str()));
        findings.push(match direct {
            Some(direct) => finding(
                "qc-type-as-statement",
                format!("The type {} stands as a statement of its own", direct.oid),
            )
            .meant(format!("SEQUENCE {{ {TYPE}, SEQUENCE {{ {} }} }}", direct.oid)),
            None => {
                finding("qc-type-missing", "The certificate does not state what it is qualified for".into())
            }
        });
        return;
    }
    let both = types.iter().any(|one| one == TYPE_WEB) && types.iter().any(|one| one == TYPE_SEAL);
    if both {
        findings.push(finding(
            "qc-type-both",
            "The certificate states that it is for web sites and for seals".into(),
        ));
        return;
    }
    for one in &types {
        let what = match one.as_str() {
            TYPE_WEB => "web sites",
            TYPE_SEAL => "seals",
            TYPE_SIGNATURE => "signatures of a person",
            _ => {
                findings.push(finding(
                    "qc-type-unknown",
                    format!("The certificate states an unknown type {one}"),
                ));
                continue;
            }
        };
        if one != wanted {
            findings.push(finding(
                "qc-type-unfit",
                format!("The certificate is for {what} and was to be a {}", kind.as_str()),
            ));
        }
    }
}

fn psd2_statement(
    statements: &[Statement<'_>],
    organisation: Option<&Organisation>,
    findings: &mut Vec<Finding>,
) {
    if let Some(statement) = statements.iter().find(|one| one.oid == PSD2) {
        psd2::check(statement.info, organisation, findings);
        return;
    }
    let misnamed = statements.iter().find(|one| one.info.is_some_and(|info| psd2::resembles(&info)));
    let Some(statement) = misnamed else {
        findings.push(
            Finding::error(
                "psd2-statement-missing",
                "ETSI TS 119 495 §5.1",
                "The certificate has no PSD2 statement, so it names no role",
            )
            .meant(format!("the statement {PSD2} with the roles, the authority's name and its identifier"))
            .at(PSD2),
        );
        return;
    };
    let why = match statement.oid.as_str() {
        "0.4.0.19495" => "the specification itself",
        "0.4.0.19495.1" => "the arc of the roles",
        "0.4.0.19495.3" | QCP_WEB_PSD2 => "the policy of the certificate",
        oid if oid.starts_with("0.4.0.19495.1.") => "a role",
        oid if oid.starts_with("0.4.0.1862.1.") => "another statement",
        _ => "something else",
    };
    findings.push(
        Finding::error(
            "psd2-statement-misnamed",
            "ETSI TS 119 495 §5.1",
            format!("The PSD2 statement is called {}, which is {why}", statement.oid),
        )
        .meant(format!("the same statement with the identifier {PSD2}"))
        .at(statement.oid.as_str()),
    );
    psd2::check(statement.info, organisation, findings);
}

fn policies(certificate: &Certificate, kind: Kind, sscd: bool, findings: &mut Vec<Finding>) {
    if kind.is_uk() {
        return;
    }
    let policies: Vec<String> = certificate
        .typed::<CertificatePolicies>()
        .map(|(policies, _)| policies.0.iter().map(|one| one.policy_identifier.to_string()).collect())
        .unwrap_or_default();
    let has = |oid: &str| policies.iter().any(|one| one == oid);
    let web = has(QCP_WEB) || has(QCP_WEB_PSD2) || QNCP_WEB.iter().any(|oid| has(oid));
    let seal = has(QCP_LEGAL) || has(QCP_LEGAL_QSCD);
    let (clause, right) = if kind.is_for_web() {
        ("ETSI TS 119 495 §6.1", format!("QCP-w-psd2 ({QCP_WEB_PSD2})"))
    } else {
        ("ETSI EN 319 411-2 §5.3", format!("QCP-l ({QCP_LEGAL}) or QCP-l-qscd ({QCP_LEGAL_QSCD})"))
    };
    let unfit = if kind.is_for_web() { seal } else { web };
    if unfit {
        let other = if kind.is_for_web() { "seals" } else { "web sites" };
        findings.push(
            Finding::error(
                "policy-unfit",
                clause,
                format!("A {} has the policy of certificates for {other}", kind.as_str()),
            )
            .meant(right)
            .at(POLICIES),
        );
    } else if !web && !seal {
        findings.push(
            Finding::warning(
                "policy-missing",
                clause,
                "The certificate names no policy of qualified certificates",
            )
            .meant(right)
            .at(POLICIES),
        );
    }
    if has(QCP_LEGAL_QSCD) && !sscd {
        findings.push(
            Finding::error(
                "qscd-not-stated",
                "ETSI EN 319 412-5 §4.2.2",
                "The policy says that the key is in a qualified device, and the statements do not",
            )
            .meant(format!("the statement QcSSCD ({SSCD}), or the policy QCP-l ({QCP_LEGAL})"))
            .at(SSCD),
        );
    }
}
