//! The extensions rcgen does not know: qualified statements and policies.

use yasna::DERWriter;
use yasna::models::ObjectIdentifier;

use super::Psd2Subject;
use crate::certificate::{Psd2Role, QcType};

/// The qcStatements of ETSI EN 319 412-5 and TS 119 495 §5.1.
pub(super) fn qc_statements(subject: &Psd2Subject, qc_type: QcType) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|statements| {
            // QcCompliance
            statements.next().write_sequence(|statement| oid(statement.next(), &[0, 4, 0, 1862, 1, 1]));
            // QcType
            statements.next().write_sequence(|statement| {
                oid(statement.next(), &[0, 4, 0, 1862, 1, 6]);
                statement.next().write_sequence(|types| {
                    let kind = match qc_type {
                        QcType::Signature => 1,
                        QcType::Seal => 2,
                        QcType::Web => 3,
                    };
                    oid(types.next(), &[0, 4, 0, 1862, 1, 6, kind]);
                });
            });
            // PSD2
            statements.next().write_sequence(|statement| {
                oid(statement.next(), &[0, 4, 0, 19495, 2]);
                statement.next().write_sequence(|psd2| {
                    psd2.next().write_sequence(|roles| {
                        for role in &subject.roles {
                            roles.next().write_sequence(|parts| {
                                oid(parts.next(), &[0, 4, 0, 19495, 1, role_number(*role)]);
                                parts.next().write_utf8_string(role.as_str());
                            });
                        }
                    });
                    psd2.next().write_utf8_string(&subject.nca_name);
                    psd2.next().write_utf8_string(&subject.nca_id);
                });
            });
        });
    })
}

/// authorityInfoAccess with one OCSP responder.
pub(super) fn ocsp_access(responder: &str) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|accesses| {
            accesses.next().write_sequence(|access| {
                oid(access.next(), &[1, 3, 6, 1, 5, 5, 7, 48, 1]);
                let uri = yasna::Tag::context(6);
                access.next().write_tagged_implicit(uri, |uri| uri.write_ia5_string(responder));
            });
        });
    })
}

/// certificatePolicies: QCP-w-psd2 for connections, QCP-l for seals.
pub(super) fn policies(qc_type: QcType) -> Vec<u8> {
    let policy: &[u64] = match qc_type {
        QcType::Web => &[0, 4, 0, 19495, 3, 1],
        QcType::Seal => &[0, 4, 0, 194_112, 1, 1],
        QcType::Signature => &[0, 4, 0, 194_112, 1, 0],
    };
    yasna::construct_der(|writer| {
        writer.write_sequence(|policies| {
            policies.next().write_sequence(|information| oid(information.next(), policy));
        });
    })
}

fn role_number(role: Psd2Role) -> u64 {
    match role {
        Psd2Role::AccountServicing => 1,
        Psd2Role::PaymentInitiation => 2,
        Psd2Role::AccountInformation => 3,
        Psd2Role::CardIssuing => 4,
    }
}

fn oid(writer: DERWriter<'_>, components: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(components));
}
