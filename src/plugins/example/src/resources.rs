//! What Lilybank tells beside balances and transactions: whom its customers pay.

use crate::exports::consentry::connector::bank::{
    AccountNumber, Context, Failure, Reason, Request, Response,
};
use crate::exports::consentry::connector::resources::{
    Beneficiary, Entries, Guest, Kind, Kinds, Page, Payee,
};
use crate::{Lilybank, failure, field, lines_of, malformed, posted, refused, ticket};

impl Guest for Lilybank {
    fn describe() -> Kinds {
        Kinds::BENEFICIARIES
    }

    fn build_request(kind: Kind, account: String, context: Context) -> Result<Request, Failure> {
        if kind != Kind::Beneficiaries {
            return Err(failure(Reason::Unsupported));
        }
        let message = format!("PAYEES|{}|{}", ticket(&context)?, field(&account));
        Ok(posted(message, context))
    }

    fn parse_response(_: Kind, _: Context, response: Response) -> Result<Page, Failure> {
        let lines = lines_of(&response.body).ok_or_else(malformed)?;
        if response.status != 200 {
            return Err(refused(&lines));
        }
        let payees = lines.iter().map(|line| payee(line)).collect::<Result<_, _>>()?;
        Ok(Page { entries: Entries::Beneficiaries(payees), next: None })
    }
}

/// `PAYEE|number|name|IBAN`
fn payee(line: &[&str]) -> Result<Beneficiary, Failure> {
    let ["PAYEE", number, name, iban] = *line else { return Err(malformed()) };
    let account = Some(AccountNumber::Iban(iban.to_owned()));
    Ok(Beneficiary {
        bank_id: Some(number.to_owned()),
        payee: Payee { name: Some(name.to_owned()), account, bic: None },
        reference: None,
        trusted: None,
    })
}
