//! Tokens at banks: ours, and those of PSUs under consents and for payments.

use std::time::Duration;

use connect::bank_oauth::{BankTokens, Role, TokenAsked};
use connect::{BankError, BankErrorKind, Profile, TokenKind};
use domain::{ConsentKind, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use store::StoreError;
use store::consents::{BankAccess, ConsentRow, Note};
use store::mandates::MandateRow;
use store::payments::PaymentRow;

use crate::consents::TRIES;
use crate::gateway::CachedToken;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

impl Gateway {
    /// The token that a request carries.
    pub(crate) async fn bank_token(
        &self,
        profile: &Profile,
        kind: TokenKind<'_>,
        psu_token: Option<SecretString>,
    ) -> Result<Option<SecretString>, FlowError> {
        match kind {
            TokenKind::None => Ok(None),
            TokenKind::PsuIfHeld => Ok(psu_token),
            TokenKind::Psu => match psu_token {
                Some(token) => Ok(Some(token)),
                None => Err(BankError::new(&profile.id, BankErrorKind::TokenInvalid).into()),
            },
            TokenKind::Client(scope) => Box::pin(self.client_token(profile, scope)).await.map(Some),
        }
    }

    /// A token of our own at a bank, kept until shortly before its end.
    async fn client_token(&self, profile: &Profile, scope: &str) -> Result<SecretString, FlowError> {
        let key = (profile.id.clone(), scope.to_owned());
        if let Some(cached) = self.client_tokens.lock().await.get(&key)
            && cached.expires_at > later(self.now(), 30)
            && cached.server == profile.authorization_server
            && cached.client_id.as_deref() == profile.client_of(Role::of_scope(scope))
        {
            return Ok(cached.token.clone());
        }
        let server = self.server(profile, None).await?;
        let client = self.client_of(profile, &server);
        let response = self.call(profile, client.client_credentials(scope)?).await?;
        let tokens = client.token_read(&response)?;
        client.check_scope(&tokens, TokenAsked::Own(scope))?;
        let expires_at = self.after(tokens.expires_in.unwrap_or(Duration::from_secs(60)));
        let cached = CachedToken {
            token: tokens.access_token.clone(),
            expires_at,
            server: profile.authorization_server.clone(),
            client_id: profile.client_of(Role::of_scope(scope)).map(str::to_owned),
        };
        self.client_tokens.lock().await.insert(key, cached);
        Ok(tokens.access_token)
    }

    /// The PSU's token at the bank under a consent, refreshed if it ends soon.
    pub(crate) async fn psu_token(
        &self,
        profile: &Profile,
        consent: &ConsentRow,
    ) -> Result<Option<SecretString>, FlowError> {
        if let Some(token) = fresh_token(consent, self.now()) {
            return Ok(Some(token));
        }
        if consent.bank.refresh_token.is_none() {
            return Ok(consent.bank.access_token.clone().map(SecretString::from));
        }
        Box::pin(self.renewed_token(profile, consent)).await
    }

    /// The PSU's token under a consent, renewed unless somebody else did so since
    /// `consent` was read; none where the bank gave nothing to renew it by.
    pub(crate) async fn renewed_token(
        &self,
        profile: &Profile,
        consent: &ConsentRow,
    ) -> Result<Option<SecretString>, FlowError> {
        let (id, profile, seen) = (consent.id, profile.clone(), consent.bank.access_token.clone());
        self.in_turn(id.region(), &id.to_string(), id.uuid(), move |gateway| async move {
            let current = gateway.any_consent(id).await?;
            if current.bank.access_token != seen
                && let Some(token) = fresh_token(&current, gateway.now())
            {
                return Ok(Some(token));
            }
            let Some(refresh) = current.bank.refresh_token.clone() else { return Ok(None) };
            let tokens = gateway.refresh(&profile, of_consent(&current), refresh.into()).await?;
            gateway.keep_bank_tokens(id, &tokens).await?;
            Ok(Some(tokens.access_token))
        })
        .await
    }

    /// The PSU's token under a consent that has ended here: nothing of it is kept.
    pub(crate) async fn last_token(
        &self,
        profile: &Profile,
        consent: &ConsentRow,
    ) -> Result<Option<SecretString>, FlowError> {
        match (fresh_token(consent, self.now()), consent.bank.refresh_token.clone()) {
            (None, Some(refresh)) => {
                Ok(Some(self.refresh(profile, of_consent(consent), refresh.into()).await?.access_token))
            }
            (fresh, _) => Ok(fresh),
        }
    }

    /// A payment with a new token, if its own ends: orders may take longer than a
    /// token lives.
    pub(crate) async fn renewed_payment(
        &self,
        profile: &Profile,
        payment: &PaymentRow,
    ) -> Result<Option<PaymentRow>, FlowError> {
        let ends = |row: &PaymentRow, now| {
            row.bank.access_token_expires_at.is_some_and(|end| end <= later(now, 30))
                && row.bank.refresh_token.is_some()
        };
        if !ends(payment, self.now()) {
            return Ok(None);
        }
        let (id, profile) = (payment.id, profile.clone());
        self.in_turn(id.region(), &id.to_string(), id.uuid(), move |gateway| async move {
            let mut row = gateway.any_payment(id).await?;
            let refresh = row.bank.refresh_token.clone();
            let Some(refresh) = refresh.filter(|_| ends(&row, gateway.now())) else { return Ok(Some(row)) };
            let whose = (Role::Payments, row.bank.consent_id.as_deref());
            let tokens = gateway.refresh(&profile, whose, refresh.into()).await?;
            // A bank that rotates has burnt the token before: whoever else changed
            // the payment meanwhile, this is kept.
            for _ in 0..TRIES {
                let keep = |row: &mut PaymentRow| gateway.keep_payment_tokens(row, &tokens);
                match gateway.move_payment(row, "gateway", keep).await {
                    Err(FlowError::Store(StoreError::Conflict)) => row = gateway.any_payment(id).await?,
                    kept => return kept.map(Some),
                }
            }
            Err(FlowError::Busy)
        })
        .await
    }

    /// The PSU's token under a mandate, renewed if it ends soon.
    pub(crate) async fn mandate_token(
        &self,
        profile: &Profile,
        mandate: &MandateRow,
    ) -> Result<Option<SecretString>, FlowError> {
        if let Some(token) = still_fresh(&mandate.bank, self.now()) {
            return Ok(Some(token));
        }
        let (id, profile) = (mandate.id, profile.clone());
        self.in_turn(id.region(), &id.to_string(), id.uuid(), move |gateway| async move {
            let mut row = gateway.any_mandate(id).await?;
            if let Some(token) = still_fresh(&row.bank, gateway.now()) {
                return Ok(Some(token));
            }
            let Some(refresh) = row.bank.refresh_token.clone() else {
                return Ok(row.bank.access_token.map(SecretString::from));
            };
            let whose = (Role::Recurring, row.bank.consent_id.as_deref());
            let tokens = gateway.refresh(&profile, whose, refresh.into()).await?;
            // As with a payment: what the bank gave once is kept.
            for _ in 0..TRIES {
                let keep = |row: &mut MandateRow| gateway.keep_tokens(&mut row.bank, &tokens);
                match gateway.move_mandate(row, Note::by("gateway"), keep).await {
                    Err(FlowError::Store(StoreError::Conflict)) => row = gateway.any_mandate(id).await?,
                    Ok(_) => return Ok(Some(tokens.access_token)),
                    Err(other) => return Err(other),
                }
            }
            Err(FlowError::Busy)
        })
        .await
    }

    /// Puts the tokens that a bank gave into what opens it.
    pub(crate) fn keep_tokens(&self, bank: &mut BankAccess, tokens: &BankTokens) {
        bank.access_token_expires_at = tokens.expires_in.map(|lifetime| self.after(lifetime));
        bank.access_token = Some(tokens.access_token.expose_secret().to_owned());
        if let Some(refresh) = &tokens.refresh_token {
            bank.refresh_token = Some(refresh.expose_secret().to_owned());
        }
    }

    /// Puts the tokens that a bank gave into a payment.
    pub(crate) fn keep_payment_tokens(&self, row: &mut PaymentRow, tokens: &BankTokens) {
        row.bank.access_token_expires_at = tokens.expires_in.map(|lifetime| self.after(lifetime));
        row.bank.access_token = Some(tokens.access_token.expose_secret().to_owned());
        if let Some(refresh) = &tokens.refresh_token {
            row.bank.refresh_token = Some(refresh.expose_secret().to_owned());
        }
    }

    async fn refresh(
        &self,
        profile: &Profile,
        (role, bank_id): (Role, Option<&str>),
        refresh_token: SecretString,
    ) -> Result<BankTokens, FlowError> {
        let dialect = self.dialect_of(profile)?;
        if let Some(endpoint) = dialect.tokens() {
            let cx = self.context(profile, None, None, None, bank_id);
            let request = endpoint.refresh(&cx, &refresh_token)?;
            return Ok(endpoint.tokens_read(&cx, &self.call(profile, request).await?)?);
        }
        let server = self.server(profile, None).await?;
        let client = self.client_of(profile, &server);
        let request = client.refresh(role, &refresh_token)?;
        let tokens = client.token_read(&self.call(profile, request).await?)?;
        // A bank that rotates has burnt the token before: what it gave is kept in
        // any case, and a scope that does not fit is noticed where it is used.
        if client.check_scope(&tokens, TokenAsked::Refresh(role)).is_err() {
            tracing::warn!(institution = profile.id.as_str(), "A refreshed token has another scope");
        }
        Ok(tokens)
    }
}

fn fresh_token(consent: &ConsentRow, now: Timestamp) -> Option<SecretString> {
    still_fresh(&consent.bank, now)
}

fn still_fresh(bank: &BankAccess, now: Timestamp) -> Option<SecretString> {
    let soon = later(now, 30);
    let fresh = bank.access_token_expires_at.is_none_or(|end| end > soon);
    bank.access_token.clone().filter(|_| fresh).map(SecretString::from)
}

fn of_consent(consent: &ConsentRow) -> (Role, Option<&str>) {
    (role_of(consent.terms.kind()), consent.bank.consent_id.as_deref())
}

/// The service that a consent is to.
pub(crate) fn role_of(kind: ConsentKind) -> Role {
    match kind {
        ConsentKind::AccountInformation => Role::Accounts,
        ConsentKind::FundsConfirmation => Role::Funds,
    }
}
