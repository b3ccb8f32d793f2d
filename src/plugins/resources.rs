//! Further information on accounts, as far as a plugin has it.

use connect::{AccountResources, BankError, BankRequest, BankResponse, CallContext, Effect, Page, Profile};
use domain::{AccountResource, ResourceEntry};

use crate::dialect::{heard, named};
use crate::reading::Reading;
use crate::request::{page_of, request};
use crate::wit::resources::{Kind, Kinds};
use crate::{Plugin, asking};

/// What the interface calls a resource, and the flag that it is told of.
fn word(resource: AccountResource) -> (Kind, Kinds) {
    match resource {
        AccountResource::Parties => (Kind::Parties, Kinds::PARTIES),
        AccountResource::Beneficiaries => (Kind::Beneficiaries, Kinds::BENEFICIARIES),
        AccountResource::StandingOrders => (Kind::StandingOrders, Kinds::STANDING_ORDERS),
        AccountResource::DirectDebits => (Kind::DirectDebits, Kinds::DIRECT_DEBITS),
        AccountResource::ScheduledPayments => (Kind::ScheduledPayments, Kinds::SCHEDULED_PAYMENTS),
        AccountResource::Statements => (Kind::Statements, Kinds::STATEMENTS),
    }
}

impl Plugin {
    fn tells(&self, resource: AccountResource) -> bool {
        self.resources.is_some_and(|kinds| kinds.contains(word(resource).1))
    }
}

impl AccountResources for Plugin {
    fn offered(&self, _profile: &Profile) -> Vec<AccountResource> {
        AccountResource::ALL.iter().copied().filter(|resource| self.tells(*resource)).collect()
    }

    fn resource(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        resource_id: &str,
    ) -> Result<BankRequest, BankError> {
        if !self.tells(resource) {
            return Err(cx.unsupported(resource.as_str()));
        }
        let api = cx.profile.accounts_api()?;
        let context = asking::context(cx, Some(api));
        let (kind, _) = word(resource);
        let built =
            self.guest.resources(|store, it| it.call_build_request(store, kind, resource_id, &context));
        match built.map_err(|why| self.failed(cx, why))? {
            Ok(given) => request(cx, api, given, Effect::Read),
            Err(failure) => Err(named(cx, failure)),
        }
    }

    fn resource_read(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        _asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<ResourceEntry>, BankError> {
        let heard = heard(cx, response, Effect::Read)?;
        let context = asking::context(cx, cx.profile.accounts_api.as_ref());
        let (kind, _) = word(resource);
        let read = self.guest.resources(|store, it| it.call_parse_response(store, kind, &context, &heard));
        let told = |error: BankError| error.with_status(heard.status);
        let page = match read.map_err(|why| told(self.failed(cx, why)))? {
            Ok(page) => page,
            Err(failure) => return Err(told(named(cx, failure))),
        };
        let items = Reading::of(cx).resource(resource, page.entries)?;
        Ok(Page { items, next: page.next.map(|target| page_of(cx, target)).transpose()? })
    }
}
