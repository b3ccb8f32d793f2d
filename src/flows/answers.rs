//! Banks' own signatures over their answers, where a profile demands them
//! (`verify_answers`): an answer that does not verify is none.

use std::sync::Arc;

use connect::{
    AnswerRefused, BankError, BankErrorKind, BankResponse, Effect, Profile, answer_is_signed, verify_answer,
};
use crypto::Jwks;

use crate::accounts::chain;
use crate::{FlowError, Gateway};

impl Gateway {
    /// The answer, if it has the signature that the profile demands. After a write that it
    /// answered, nobody knows what the bank did.
    pub(crate) async fn verified(
        &self,
        profile: &Profile,
        effect: Effect,
        response: BankResponse,
    ) -> Result<BankResponse, BankError> {
        if !answer_is_signed(profile, &response) {
            return Ok(response);
        }
        match self.verify(profile, &response).await {
            Ok(()) => Ok(response),
            Err(error) => Err(match effect {
                Effect::Read => error,
                Effect::Write => error.unknown(),
            }),
        }
    }

    async fn verify(&self, profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
        let keys = self.answer_keys_of(profile).await?;
        match verify_answer(profile, self.now(), response, &keys) {
            Ok(()) => Ok(()),
            Err(AnswerRefused::Invalid(error)) => Err(error),
            Err(AnswerRefused::UnknownKey(_)) => {
                // Perhaps a newer one.
                self.answer_keys.invalidate(&profile.id).await;
                let keys = self.answer_keys_of(profile).await?;
                verify_answer(profile, self.now(), response, &keys).map_err(|refused| match refused {
                    AnswerRefused::UnknownKey(error) | AnswerRefused::Invalid(error) => error,
                })
            }
        }
    }

    /// The keys of a bank, read again now and then.
    pub(crate) async fn answer_keys_of(&self, profile: &Profile) -> Result<Arc<Jwks>, BankError> {
        if let Some(keys) = self.answer_keys.get(&profile.id).await {
            return Ok(keys);
        }
        let metadata = self.server(profile, None).await.map_err(|error| {
            if let FlowError::Bank(error) = error {
                return error;
            }
            tracing::warn!(bank.code = %profile.id, error = %chain(&error), "The keys of bank {} could not be read", profile.id);
            BankError::new(&profile.id, BankErrorKind::Internal)
        })?;
        let client = self.client_of(profile, &metadata);
        let keys = Arc::new(client.keys_read(&self.call(profile, client.keys()?).await?)?);
        self.answer_keys.insert(profile.id.clone(), Arc::clone(&keys)).await;
        Ok(keys)
    }
}
