//! The body of a batch: JSON, or a pain.001 message (ISO 20022
//! `CustomerCreditTransferInitiation`, versions 03 to 09) of one `PmtInf`.

use axum::extract::{FromRequest, FromRequestParts, Request};
use domain::{Decimal, Pii, Violations};
use flows::FlowError;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use utoipa::IntoParams;
use web::{JsonBody, Problem, ProblemCode, QueryParams, bounded};

use crate::batches::BatchCreate;
use crate::payment_order::{Agent, Creditor, Remittance, TransferCreate};
use crate::view::{AccountName, Amount, SortCode};

/// What stands in a message for an identification that nobody gave.
const NOT_PROVIDED: &str = "NOTPROVIDED";

/// A batch as it was sent.
pub(crate) struct BatchBody {
    /// The batch, or what is wrong with the message.
    pub(crate) batch: Result<BatchCreate, Problem>,
    /// Digest of all that was sent.
    pub(crate) fingerprint: String,
}

/// What a pain.001 message has no words for.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageParams {
    /// Where it is paid from. Of a message only, as all of these.
    #[param(required = false)]
    institution_id: String,
    /// Rail of every payment.
    #[serde(default)]
    scheme: Option<String>,
    /// Where the PSU's browser goes in the end; one of the client's `redirect_uris`.
    #[param(required = false)]
    redirect_uri: String,
    /// Opaque value returned with it, at most 1024 bytes.
    #[serde(default)]
    state: Option<String>,
    /// Your own name for it, at most 64 characters.
    #[serde(default)]
    client_reference: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for BatchBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let declared = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = declared.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !["application/xml", "text/xml"].iter().any(|xml| essence.eq_ignore_ascii_case(xml)) {
            let body = JsonBody::<BatchCreate>::from_request(request, state).await?;
            let fingerprint = crypto::digest::sha256_hex(&body.bytes);
            return Ok(Self { batch: Ok(body.value), fingerprint });
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (mut parts, body) = request.into_parts();
        let QueryParams(params) = QueryParams::<MessageParams>::from_request_parts(&mut parts, state).await?;
        let bytes = bounded(body).await?;
        let sent = [query.as_bytes(), b"\n", &bytes].concat();
        let fingerprint = crypto::digest::sha256_hex(&sent);
        Ok(Self { batch: message(&bytes, params), fingerprint })
    }
}

/// Reads a message.
fn message(bytes: &[u8], params: MessageParams) -> Result<BatchCreate, Problem> {
    let unreadable = |detail: &str| Problem::new(ProblemCode::MalformedXml).detail(detail.to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable("It is not UTF-8."))?;
    if text.contains("<!DOCTYPE") {
        return Err(unreadable("A document type is not taken."));
    }
    let document: Document = quick_xml::de::from_str(text)
        .map_err(|_| unreadable("It is no pain.001 message, or lacks what every payment has."))?;
    let Initiation { header, payments } = document.initiation;
    let [payment] = <[Payment; 1]>::try_from(payments).map_err(|_| unreadable("It has one PmtInf."))?;
    adds_up(&header, &payment)?;
    Ok(BatchCreate {
        institution_id: params.institution_id,
        debtor_account: payment.debtor.map(Account::name),
        scheme: params.scheme,
        requested_execution_date: payment.day.and_then(Day::text),
        today_is_at_once: true,
        batch_booking: payment.batch_booking,
        payments: payment.transfers.into_iter().map(Transfer::create).collect(),
        redirect_uri: params.redirect_uri,
        state: params.state,
        client_reference: params.client_reference,
    })
}

/// The number and sum in the header are those of the transfers.
fn adds_up(header: &Header, payment: &Payment) -> Result<(), Problem> {
    let mut violations = Violations::default();
    if header.count != payment.transfers.len().to_string() {
        violations.add("/GrpHdr/NbOfTxs", "batch.count", "the number of CdtTrfTxInf");
    }
    let amounts = payment.transfers.iter().map(|transfer| transfer.amount.value.text.parse::<Decimal>());
    let sum = amounts.sum::<Result<Decimal, _>>().ok();
    let told = header.sum.as_ref().map(|told| told.parse::<Decimal>().ok());
    if told.is_some_and(|told| told.is_none() || told != sum) {
        violations.add("/GrpHdr/CtrlSum", "batch.sum", "the sum of all InstdAmt");
    }
    if violations.is_empty() { Ok(()) } else { Err(FlowError::Invalid(violations).into()) }
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "CstmrCdtTrfInitn")]
    initiation: Initiation,
}

#[derive(Deserialize)]
struct Initiation {
    #[serde(rename = "GrpHdr")]
    header: Header,
    #[serde(rename = "PmtInf")]
    payments: Vec<Payment>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "NbOfTxs")]
    count: String,
    #[serde(rename = "CtrlSum")]
    sum: Option<String>,
}

#[derive(Deserialize)]
struct Payment {
    #[serde(rename = "BtchBookg")]
    batch_booking: Option<bool>,
    #[serde(rename = "ReqdExctnDt")]
    day: Option<Day>,
    #[serde(rename = "DbtrAcct")]
    debtor: Option<Account>,
    #[serde(rename = "CdtTrfTxInf")]
    transfers: Vec<Transfer>,
}

/// A day: plain up to version 07, an element of its own from 08 on.
#[derive(Deserialize)]
struct Day {
    #[serde(rename = "$text")]
    plain: Option<String>,
    #[serde(rename = "Dt")]
    element: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(rename = "Id")]
    id: AccountId,
}

#[derive(Deserialize)]
struct AccountId {
    #[serde(rename = "IBAN")]
    iban: Option<String>,
    #[serde(rename = "Othr")]
    other: Option<OtherId>,
}

#[derive(Deserialize)]
struct OtherId {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
struct Transfer {
    #[serde(rename = "PmtId")]
    names: Names,
    #[serde(rename = "Amt")]
    amount: Instructed,
    #[serde(rename = "ChrgBr")]
    charge_bearer: Option<String>,
    #[serde(rename = "CdtrAgt")]
    agent: Option<CreditorAgent>,
    #[serde(rename = "Cdtr")]
    creditor: Named,
    #[serde(rename = "CdtrAcct")]
    account: Account,
    #[serde(rename = "RmtInf")]
    remittance: Option<Told>,
}

#[derive(Deserialize)]
struct Names {
    #[serde(rename = "EndToEndId")]
    end_to_end: String,
}

#[derive(Deserialize)]
struct Instructed {
    #[serde(rename = "InstdAmt")]
    value: Value,
}

#[derive(Deserialize)]
struct Value {
    #[serde(rename = "@Ccy")]
    currency: String,
    #[serde(rename = "$text")]
    text: String,
}

#[derive(Deserialize)]
struct CreditorAgent {
    #[serde(rename = "FinInstnId")]
    institution: Institution,
}

/// BIC up to version 03, BICFI later.
#[derive(Deserialize)]
struct Institution {
    #[serde(rename = "BIC")]
    bic: Option<String>,
    #[serde(rename = "BICFI")]
    bicfi: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Nm")]
    name: String,
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "Ustrd", default)]
    plain: Vec<String>,
    #[serde(rename = "Strd", default)]
    structured: Vec<Structured>,
}

#[derive(Deserialize)]
struct Structured {
    #[serde(rename = "CdtrRefInf")]
    reference: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "Ref")]
    text: Option<String>,
}

impl Day {
    fn text(self) -> Option<String> {
        self.element.or(self.plain).map(|day| day.trim().to_owned())
    }
}

impl Account {
    fn name(self) -> AccountName {
        let other = self.id.other.map(|other| other.id);
        // A UK account: six digits of its branch, eight of its own.
        let uk = other.as_deref().filter(|id| id.len() == 14 && id.bytes().all(|b| b.is_ascii_digit()));
        let uk = uk.and_then(|id| id.split_at_checked(6)).map(|(sort_code, account_number)| SortCode {
            sort_code: sort_code.to_owned().into(),
            account_number: account_number.to_owned().into(),
        });
        let bban = other.filter(|_| uk.is_none());
        AccountName {
            iban: self.id.iban.map(Pii::from),
            sort_code_account_number: uk,
            bban: bban.map(Pii::from),
            ..AccountName::default()
        }
    }
}

impl Transfer {
    fn create(self) -> TransferCreate {
        let told = self.remittance.unwrap_or(Told { plain: Vec::new(), structured: Vec::new() });
        let references = told.structured.into_iter().filter_map(|each| each.reference?.text);
        let agent = self.agent.and_then(|agent| agent.institution.bicfi.or(agent.institution.bic));
        let value = self.amount.value;
        TransferCreate {
            amount: Amount { amount: value.text, currency: value.currency },
            creditor: Creditor::named(self.creditor.name.into(), None),
            creditor_account: self.account.name(),
            creditor_agent: agent.as_deref().map(Agent::of),
            // SLEV is what a message says where nothing else is meant.
            charge_bearer: self.charge_bearer.filter(|bearer| bearer != "SLEV"),
            remittance: Remittance::lines(told.plain, references.collect()),
            end_to_end_id: Some(self.names.end_to_end).filter(|id| id != NOT_PROVIDED).map(Pii::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> MessageParams {
        MessageParams {
            institution_id: "de-rheinbank".into(),
            scheme: None,
            redirect_uri: "https://fintech.example/back".into(),
            state: None,
            client_reference: None,
        }
    }

    fn text(version: &str, day: &str, count: &str, sum: &str) -> String {
        let transfer = |id: &str, amount: &str| {
            format!(
                "<CdtTrfTxInf><PmtId><InstrId>x</InstrId><EndToEndId>{id}</EndToEndId></PmtId>\
                 <Amt><InstdAmt Ccy=\"EUR\">{amount}</InstdAmt></Amt>\
                 <CdtrAgt><FinInstnId><BIC>DEUTDEFF</BIC></FinInstnId></CdtrAgt>\
                 <Cdtr><Nm>M&amp;S &#252;</Nm><PstlAdr><Ctry>DE</Ctry></PstlAdr></Cdtr>\
                 <CdtrAcct><Id><IBAN>DE02120300000000202051</IBAN></Id></CdtrAcct>\
                 <RmtInf><Ustrd>Rent</Ustrd></RmtInf></CdtTrfTxInf>"
            )
        };
        format!(
            "<?xml version=\"1.0\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.{version}\">\
             <CstmrCdtTrfInitn><GrpHdr><MsgId>m</MsgId><NbOfTxs>{count}</NbOfTxs><CtrlSum>{sum}</CtrlSum></GrpHdr>\
             <PmtInf><PmtInfId>p</PmtInfId><PmtMtd>TRF</PmtMtd><BtchBookg>true</BtchBookg>\
             <ReqdExctnDt>{day}</ReqdExctnDt><Dbtr><Nm>D</Nm></Dbtr>\
             <DbtrAcct><Id><IBAN>DE89370400440532013000</IBAN></Id></DbtrAcct><ChrgBr>SLEV</ChrgBr>{}{}</PmtInf>\
             </CstmrCdtTrfInitn></Document>",
            transfer("E-1", "10.00"),
            transfer("NOTPROVIDED", "5.5"),
        )
    }

    #[test]
    fn a_message_of_either_age_is_the_batch_that_it_says() {
        for (version, day) in [("03", "2099-01-31"), ("09", "<Dt>2099-01-31</Dt>")] {
            let batch = message(text(version, day, "2", "15.50").as_bytes(), params()).unwrap();
            assert_eq!(batch.requested_execution_date.as_deref(), Some("2099-01-31"));
            assert_eq!(batch.batch_booking, Some(true));
            assert_eq!(batch.payments.len(), 2);
            assert_eq!(batch.payments[0].end_to_end_id.as_deref(), Some("E-1"));
            assert_eq!(batch.payments[1].end_to_end_id, None);
            assert_eq!(batch.payments[1].amount.amount, "5.5");
            let creditor = serde_json::to_value(&batch.payments[0].creditor).unwrap();
            assert_eq!(creditor["name"], "M&S ü");
            assert!(batch.payments[0].charge_bearer.is_none());
        }
    }

    #[test]
    fn a_message_that_does_not_add_up_is_refused() {
        for (count, sum) in [("3", "15.50"), ("2", "15.51"), ("2", "much")] {
            assert!(
                message(text("03", "2099-01-31", count, sum).as_bytes(), params()).is_err(),
                "{count} {sum}"
            );
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let whole = text("03", "2099-01-31", "2", "15.50");
        let bomb = whole.replace("<Document", "<!DOCTYPE a [<!ENTITY b \"c\">]><Document");
        let entity = whole.replace("Rent", "&b;");
        let twice = whole.replace("</PmtInf>", "</PmtInf><PmtInf><PmtInfId>q</PmtInfId></PmtInf>");
        for bad in [bomb.as_str(), &entity, &twice, "<Document/>", "no xml", "", &whole[..whole.len() - 20]] {
            assert!(message(bad.as_bytes(), params()).is_err(), "{bad}");
        }
    }
}
