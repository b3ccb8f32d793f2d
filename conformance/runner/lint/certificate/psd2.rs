//! The PSD2 statement: roles, and who granted them (ETSI TS 119 495 §5.1).
//!
//! `SEQUENCE { SEQUENCE OF SEQUENCE { role, name }, authority's name, authority's id }`, all
//! texts UTF8String. Other forms are read as far as they can be, and named.

use super::der::{Node, OID, SEQUENCE, SET, UTF8_STRING};
use super::misspelt::{self, ROLES};
use super::statements::PSD2;
use super::subject::Organisation;
use crate::lint::Finding;

const CLAUSE: &str = "ETSI TS 119 495 §5.1";
const ROLE_CLAUSE: &str = "ETSI TS 119 495 §5.2.2";
const AUTHORITY_CLAUSE: &str = "ETSI TS 119 495 §5.2.3";
/// The directory of the United Kingdom, in the place of an authority.
const DIRECTORY: &str = "GB-OB";
/// What stands for the authority of those whom no authority authorises.
const NOT_APPLICABLE: &str = "NA";
const FORM: &str = "SEQUENCE { SEQUENCE { SEQUENCE { role, UTF8String } … }, UTF8String, UTF8String }";

/// It looks as if it were one, whatever its name.
pub(super) fn resembles(node: &Node<'_>) -> bool {
    node.leaves().iter().any(|leaf| {
        leaf.oid().is_some_and(|oid| oid.starts_with("0.4.0.19495.1.") || oid == PSD2)
            || leaf.text().is_some_and(|text| text.starts_with("PSP_"))
    })
}

/// A role as it was found.
struct Role<'a> {
    oid: Option<String>,
    name: Option<Node<'a>>,
}

pub(super) fn check(
    info: Option<Node<'_>>,
    organisation: Option<&Organisation>,
    findings: &mut Vec<Finding>,
) {
    let Some(info) = info else {
        findings.push(
            Finding::error("psd2-statement-empty", CLAUSE, "The PSD2 statement says nothing")
                .meant(FORM)
                .at(PSD2),
        );
        return;
    };
    structure(&info, findings);
    let (roles, authority) = parts(&info);
    check_roles(&roles, findings);
    let international = roles.iter().any(|role| role.oid.as_deref().is_some_and(misspelt::is_international));
    check_authority(&authority, international, organisation, findings);
}

/// Whether lists are where lists have to be.
fn structure(info: &Node<'_>, findings: &mut Vec<Finding>) {
    let finding = |rule, says: &str| Finding::error(rule, CLAUSE, says).meant(FORM).at(PSD2);
    if info.tag != SEQUENCE {
        findings.push(finding("psd2-statement-form", &format!("The PSD2 statement is a {}", info.kind())));
    }
    let children = info.children();
    let Some(roles) = children.first().filter(|first| first.is_list()) else {
        findings.push(finding(
            "roles-flattened",
            "The roles of the PSD2 statement are not in a list of their own",
        ));
        return;
    };
    let each = roles.children();
    let is_set = roles.tag == SET || each.iter().any(|role| role.tag == SET);
    if is_set {
        findings.push(finding("roles-in-set", "The roles are in a SET, and have to be in a SEQUENCE"));
    }
    if each.iter().any(|role| !role.is_list()) {
        findings.push(finding("roles-flattened", "The roles are not each in a SEQUENCE of its own"));
    } else if children.iter().skip(1).any(Node::is_list) {
        findings.push(finding(
            "psd2-statement-form",
            "The PSD2 statement has another list beside the one of its roles",
        ));
    }
}

/// The roles and the texts about the authority, in whatever lists they are.
fn parts<'a>(info: &Node<'a>) -> (Vec<Role<'a>>, Vec<Node<'a>>) {
    let mut roles: Vec<Role<'a>> = Vec::new();
    let mut authority = Vec::new();
    for leaf in info.leaves() {
        if leaf.tag == OID {
            // A statement of several parts brings its own name along.
            let oid = leaf.oid().filter(|oid| oid != PSD2);
            roles.extend(oid.map(|oid| Role { oid: Some(oid), name: None }));
            continue;
        }
        let Some(text) = leaf.text() else { continue };
        match roles.last_mut() {
            Some(role) if role.name.is_none() && authority.is_empty() => role.name = Some(leaf),
            _ if misspelt::role_of_name(&text).is_some() => roles.push(Role { oid: None, name: Some(leaf) }),
            _ => authority.push(leaf),
        }
    }
    (roles, authority)
}

fn check_roles(roles: &[Role<'_>], findings: &mut Vec<Finding>) {
    if roles.is_empty() {
        findings.push(
            Finding::error("roles-missing", ROLE_CLAUSE, "The PSD2 statement grants no role")
                .meant("at least one of PSP_AS, PSP_PI, PSP_AI and PSP_IC")
                .at(PSD2),
        );
    }
    let mut seen: Vec<&str> = Vec::new();
    for role in roles {
        findings.extend(check_role(role));
        if let Some(oid) = &role.oid {
            if seen.contains(&oid.as_str()) {
                findings.push(
                    Finding::error("role-repeated", ROLE_CLAUSE, format!("The role {oid} is granted twice"))
                        .meant("each role once")
                        .at(oid.as_str()),
                );
            }
            seen.push(oid);
        }
    }
}

fn check_role(role: &Role<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let place = role.oid.clone().unwrap_or_else(|| PSD2.to_owned());
    let name = role.name.and_then(|name| name.text());
    if let Some(node) = role.name.filter(|name| name.tag != UTF8_STRING) {
        findings.push(
            Finding::error("role-string-type", CLAUSE, format!("The name of the role is a {}", node.kind()))
                .meant("the same text as UTF8String")
                .at(place.as_str()),
        );
    }
    let by_oid = role.oid.as_deref().and_then(misspelt::role_of_oid);
    let by_name = name.as_deref().and_then(misspelt::role_of_name);
    let known = || ROLES.map(|(oid, name)| format!("{name} {oid}")).join(", ");
    let written = name.clone().unwrap_or_default();
    let says = role.oid.clone().unwrap_or_default();
    let finding = |rule, says: String, meant: String| {
        Finding::error(rule, ROLE_CLAUSE, says).meant(meant).at(place.as_str())
    };
    match (by_oid, by_name) {
        (Some((oid, right)), Some((_, named))) if right != named => findings.push(finding(
            "role-name-differs",
            format!("The role {oid} is {right} and is called {written}"),
            match misspelt::role_of_name(&written) {
                Some((other, name)) => format!("{right} with {oid}, or {name} with {other}"),
                None => format!("{right} with {oid}"),
            },
        )),
        (Some((_, right)), _) if written.is_empty() => findings.push(finding(
            "role-name-missing",
            format!("The role {says} has no name"),
            format!("{right} as UTF8String after it"),
        )),
        (Some((oid, right)), _) if written == right && !misspelt::is_of_psd2(oid) => findings.push(
            Finding::note(
                "role-not-of-psd2",
                ROLE_CLAUSE,
                format!("The role {right} is known and gives no access under PSD2"),
            )
            .meant(format!("for a provider of PSD2 one of {}", known()))
            .at(place.as_str()),
        ),
        (Some((_, right)), _) if written != right => findings.push(finding(
            "role-name-spelling",
            format!("The role {right} is written {written}"),
            right.to_owned(),
        )),
        (Some(_), _) => {}
        (None, Some((oid, right))) if says.is_empty() => findings.push(finding(
            "role-oid-missing",
            format!("The role {written} has no object identifier"),
            format!("SEQUENCE {{ {oid}, UTF8String {right} }}"),
        )),
        (None, Some((oid, right))) => findings.push(finding(
            "role-oid-unknown",
            format!("The role {written} has the object identifier {says}, which is no role"),
            format!("{oid}, which is {right}"),
        )),
        (None, None) => findings.push(finding(
            "role-unknown",
            format!("The role {says} {written:?} is not known"),
            format!("one of {}", known()),
        )),
    }
    findings
}

fn check_authority(
    texts: &[Node<'_>],
    international: bool,
    organisation: Option<&Organisation>,
    findings: &mut Vec<Finding>,
) {
    for text in texts.iter().filter(|text| text.tag != UTF8_STRING) {
        findings.push(
            Finding::error(
                "authority-string-type",
                AUTHORITY_CLAUSE,
                format!("{:?} is a {}", text.text().unwrap_or_default(), text.kind()),
            )
            .meant("the same text as UTF8String")
            .at(PSD2),
        );
    }
    let texts: Vec<String> = texts.iter().filter_map(Node::text).collect();
    let missing = |what: &str, meant: &str| {
        Finding::error(
            "authority-missing",
            AUTHORITY_CLAUSE,
            format!("The PSD2 statement does not have the authority's {what}"),
        )
        .meant(meant)
        .at(PSD2)
    };
    let id = match texts.as_slice() {
        [] => {
            findings.push(missing(
                "name and identifier",
                "the authority's name and then its identifier, such as DE-BAFIN",
            ));
            return;
        }
        [only] if misspelt::is_authority(only) => {
            findings.push(missing("name", "the authority's name before its identifier"));
            only
        }
        [_] => {
            findings
                .push(missing("identifier", "the authority's identifier after its name, such as DE-BAFIN"));
            return;
        }
        [name, id, ..] => {
            if name.trim().is_empty() {
                findings.push(
                    Finding::error("authority-name-empty", AUTHORITY_CLAUSE, "The authority's name is empty")
                        .meant("its name in the language of the register")
                        .at(PSD2),
                );
            }
            if texts.len() > 2 {
                findings.push(
                    Finding::error(
                        "psd2-statement-form",
                        AUTHORITY_CLAUSE,
                        "The PSD2 statement has more texts than the authority's name and identifier",
                    )
                    .meant(FORM)
                    .at(PSD2),
                );
            }
            if misspelt::is_authority(name) && !misspelt::is_authority(id) {
                findings.push(
                    Finding::error(
                        "authority-swapped",
                        AUTHORITY_CLAUSE,
                        format!("The authority's identifier {name} stands before its name"),
                    )
                    .meant(format!("first {id:?} and then {name:?}"))
                    .at(PSD2),
                );
                name
            } else {
                id
            }
        }
    };
    if !(international && id == NOT_APPLICABLE) {
        check_authority_id(id, organisation, findings);
    }
}

fn check_authority_id(id: &str, organisation: Option<&Organisation>, findings: &mut Vec<Finding>) {
    if !misspelt::is_authority(id) {
        let meant = misspelt::authority(id).unwrap_or_else(|| {
            "the country, a hyphen and the authority in capitals, such as DE-BAFIN".to_owned()
        });
        findings.push(
            Finding::error(
                "authority-id-form",
                AUTHORITY_CLAUSE,
                format!("The authority's identifier is written {id:?}"),
            )
            .meant(meant)
            .at(PSD2),
        );
        return;
    }
    let country = id.split_once('-').map_or("", |(country, _)| country);
    if !misspelt::is_listed(id) && id != DIRECTORY {
        let meant = misspelt::listed_of(country)
            .map_or_else(|| "an authority of Annex D".to_owned(), |known| format!("perhaps {known}"));
        findings.push(
            Finding::note(
                "authority-not-listed",
                "ETSI TS 119 495 Annex D",
                format!("The authority {id} is not among those that the annex lists"),
            )
            .meant(meant)
            .at(PSD2),
        );
    }
    let Some(organisation) = organisation.filter(|organisation| organisation.authority_id() != id) else {
        return;
    };
    let named = organisation.authority_id();
    let says = format!("The PSD2 statement names {id}, and the organizationIdentifier {named}");
    // The directory stands for the authority in statements that it hands out.
    let is_directory = id == DIRECTORY && organisation.country == "GB";
    let of = if is_directory { Finding::warning } else { Finding::error };
    findings.push(
        of("authority-differs", "ETSI TS 119 495 §5.2.1", says)
            .meant("the same authority at both places")
            .at(PSD2),
    );
}
