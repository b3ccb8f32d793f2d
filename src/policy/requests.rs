//! The requests that are decided.

use std::collections::BTreeSet;

use domain::Region;
use serde_json::Value;

use crate::ask::{
    Ask, Client, Fields, Flag, Maybe, OneOf, Place, Readable as _, Record, Text, Texts, Unreadable, choice,
    record, request,
};

choice! {
    /// What a consent is for.
    pub enum Service {
        /// Data of accounts.
        Accounts = "accounts",
        /// Whether an account covers an amount.
        Funds = "funds",
    }
}

choice! {
    /// What a client does with a payment that is there.
    pub enum PaymentChange {
        /// Looks at it.
        Read = "read",
        /// Has it sent to the bank.
        Submit = "submit",
        /// Cancels it.
        Cancel = "cancel",
        /// Pays it back.
        Refund = "refund",
    }
}

choice! {
    /// What is done with a consent or a mandate itself.
    pub enum Step {
        /// A client asks for it.
        Lodge = "lodge",
        /// A client looks at it.
        See = "see",
        /// It comes into force.
        Give = "give",
        /// A client ends it.
        End = "end",
    }
}

choice! {
    /// How data is kept.
    pub enum Keeping {
        /// In the store.
        Store = "store",
        /// In a log.
        Log = "log",
        /// As a replica.
        Replicate = "replicate",
        /// In a cache.
        Cache = "cache",
        /// As a backup.
        BackUp = "back_up",
    }
}

record! {
    /// What is known of the consent that a client uses.
    pub struct ConsentFacts('a)[<'a>] {
        scope {}
        context {
            /// The client it was given to.
            client: &'a str as Client,
            /// The token of the request carries it.
            granted: bool as Flag,
            /// It is authorised, and not at its end.
            in_force: bool as Flag,
            /// What it is for.
            service: Service as OneOf,
            /// Its home.
            region: Region as Place,
            /// What it permits.
            permissions: BTreeSet<&'a str> as Texts,
        }
    }
}

record! {
    /// What is known of the mandate that a client pays under.
    pub struct MandateFacts('a)[<'a>] {
        scope {}
        context {
            /// The client it was given to.
            client: &'a str as Client,
            /// The token of the request carries it.
            granted: bool as Flag,
            /// It is authorised, and not at its end.
            in_force: bool as Flag,
            /// Its home.
            region: Region as Place,
        }
    }
}

record! {
    /// What is known of a payment.
    pub struct PaymentFacts('a)[<'a>] {
        scope {}
        context {
            /// The client that ordered it.
            client: &'a str as Client,
            /// Its home.
            region: Region as Place,
        }
    }
}

request! {
    /// A client reads data of an account.
    pub struct ReadData('a)[<'a>][<'static>] asks "read" {
        scope {
            /// The client that asks.
            client: &'a str as Client,
        }
        context {
            /// The consent it asks under.
            consent: ConsentFacts<'a> as Record,
            /// What class of data it reads.
            class: &'a str as Text,
            /// The permissions of which any one is enough.
            needs: BTreeSet<&'a str> as Texts,
            /// The PSU is there.
            psu_present: bool as Flag,
            /// It asks for what is older than what is given without the PSU.
            beyond_history: bool as Flag,
            /// The region of the process that answers.
            cell: Region as Place,
        }
        principal(asked) { Client: asked.client }
        resource(asked) { Place: asked.consent.region }
    }
}

request! {
    /// A client asks whether an account covers an amount.
    pub struct ConfirmFunds('a)[<'a>][<'static>] asks "funds" {
        scope {
            /// The client that asks.
            client: &'a str as Client,
        }
        context {
            /// The consent it asks under.
            consent: ConsentFacts<'a> as Record,
            /// The region of the process that answers.
            cell: Region as Place,
        }
        principal(asked) { Client: asked.client }
        resource(asked) { Place: asked.consent.region }
    }
}

request! {
    /// A client orders a payment.
    pub struct OrderPayment('a)[<'a>][<'static>] asks "order" {
        scope {
            /// The client that asks.
            client: &'a str as Client,
            /// The home of the payment.
            region: Region as Place,
        }
        context {
            /// The region of the process that answers.
            cell: Region as Place,
            /// The mandate it pays under, if it does.
            mandate: Option<MandateFacts<'a>> as Maybe<Record>,
        }
        principal(asked) { Client: asked.client }
        resource(asked) { Place: asked.region }
    }
}

request! {
    /// A client does something with a payment that is there.
    pub struct ChangePayment('a)[<'a>][<'static>] asks "change" {
        scope {
            /// The client that asks.
            client: &'a str as Client,
        }
        context {
            /// The payment.
            payment: PaymentFacts<'a> as Record,
            /// What it does.
            change: PaymentChange as OneOf,
            /// The PSU has approved the payment, or a mandate has.
            authorised: bool as Flag,
            /// The region of the process that answers.
            cell: Region as Place,
        }
        principal(asked) { Client: asked.client }
        resource(asked) { Place: asked.payment.region }
    }
}

record! {
    /// What is known of a consent or a mandate itself.
    pub struct AgreementFacts('a)[<'a>] {
        scope {}
        context {
            /// The client it is for.
            client: &'a str as Client,
            /// Its home.
            region: Region as Place,
        }
    }
}

request! {
    /// Something is done with a consent or a mandate itself, on behalf of a client.
    pub struct Agree('a)[<'a>][<'static>] asks "agree" {
        scope {
            /// The client.
            client: &'a str as Client,
        }
        context {
            /// The consent or the mandate.
            agreement: AgreementFacts<'a> as Record,
            /// What is done.
            step: Step as OneOf,
            /// Its PSU has been authenticated and has said yes, at the bank or to us.
            approved: bool as Flag,
            /// The region of the process that answers.
            cell: Region as Place,
        }
        principal(asked) { Client: asked.client }
        resource(asked) { Place: asked.agreement.region }
    }
}

request! {
    /// We keep data.
    pub struct Keep('a)[][] asks "keep" {
        scope {
            /// The home of the data.
            of: Region as Place,
            /// The region it is kept in.
            at: Region as Place,
        }
        context {
            /// How it is kept.
            kind: Keeping as OneOf,
            /// It says something of a person.
            personal: bool as Flag,
        }
        principal(asked) { Place: asked.at }
        resource(asked) { Place: asked.of }
    }
}

request! {
    /// We pass a request on, which nobody keeps on the way.
    pub struct Forward('a)[][] asks "forward" {
        scope {
            /// The home of what it is about.
            of: Region as Place,
            /// The region it is passed through.
            through: Region as Place,
        }
        context {}
        principal(asked) { Place: asked.through }
        resource(asked) { Place: asked.of }
    }
}

/// Calls `$of!(Type)` for every request type, as elements of an array.
macro_rules! for_each_request {
    ($of:ident) => {
        [
            $of!(ReadData),
            $of!(ConfirmFunds),
            $of!(OrderPayment),
            $of!(ChangePayment),
            $of!(Agree),
            $of!(Keep),
            $of!(Forward),
        ]
    };
}
pub(crate) use for_each_request;

/// The closed lists: their type, and their names.
pub(crate) fn choices() -> Vec<(&'static str, Vec<&'static str>)> {
    fn names<C: crate::ask::Choice>() -> (&'static str, Vec<&'static str>) {
        (C::TYPE, C::ALL.iter().map(|choice| choice.name()).collect())
    }
    vec![names::<Service>(), names::<PaymentChange>(), names::<Step>(), names::<Keeping>()]
}

/// Any request, in its readable form.
#[derive(Clone, Debug)]
pub(crate) enum Request<'v> {
    ReadData(ReadData<'v>),
    ConfirmFunds(ConfirmFunds<'v>),
    OrderPayment(OrderPayment<'v>),
    ChangePayment(ChangePayment<'v>),
    Agree(Agree<'v>),
    Keep(Keep),
    Forward(Forward),
}

/// Does the same with whatever request it is.
macro_rules! whatever {
    ($request:expr, $asked:ident => $then:expr) => {
        match $request {
            $crate::requests::Request::ReadData($asked) => $then,
            $crate::requests::Request::ConfirmFunds($asked) => $then,
            $crate::requests::Request::OrderPayment($asked) => $then,
            $crate::requests::Request::ChangePayment($asked) => $then,
            $crate::requests::Request::Agree($asked) => $then,
            $crate::requests::Request::Keep($asked) => $then,
            $crate::requests::Request::Forward($asked) => $then,
        }
    };
}
pub(crate) use whatever;

impl<'v> Request<'v> {
    /// Reads a request: its action is the field `ask`, the others are those of its type.
    pub(crate) fn read(value: &'v Value) -> Result<Self, Unreadable> {
        let mut fields = Fields::of(Some(value), "")?;
        let (action, at) = fields.take("ask");
        let action = <Text as crate::ask::Form<'v, &'v str>>::read(action, &at)?;
        macro_rules! read {
            ($type:ident) => {
                if action == $type::ACTION {
                    let request = $type::take(&mut fields)?;
                    fields.end()?;
                    return Ok(Self::$type(request));
                }
            };
        }
        for_each_request!(read);
        macro_rules! action {
            ($type:ident) => {
                $type::ACTION
            };
        }
        Err(Unreadable::new(&at, format!("is one of {}", for_each_request!(action).join(", "))))
    }
}
