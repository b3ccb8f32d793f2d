//! The mutants.

mod answers;
mod api;
mod assertions;
mod authorization;
mod objects;
mod proofs_taken;
mod tokens;

use futures_util::future::BoxFuture;

use super::world::{Asked, World};
use super::{proofs, repair};
use crate::http::{NoAnswer, Response};

pub(super) type Answer = Result<Response, NoAnswer>;

/// A target that is broken in one way.
#[derive(Debug)]
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// What it does, as the end of a sentence about the target.
    pub breaks: &'static str,
    /// The profile that catches it.
    pub profile: &'static str,
    /// The cases that must catch it, each of them.
    pub caught_by: &'static [&'static str],
    pub(super) how: How,
}

/// How a mutant breaks the target.
pub(super) enum How {
    /// Assertions pass whose only defects are these.
    Assertion(&'static [&'static str]),
    /// Request objects pass whose only defects are these.
    Object(&'static [&'static str]),
    /// Proofs pass whose only defects are these.
    Proof(&'static [&'static str]),
    /// The request is changed.
    Before(fn(&World, &mut Asked)),
    /// The answer is changed.
    After(fn(&World, &Asked, &mut Response)),
    /// Both are.
    Both(fn(&World, &mut Asked), fn(&World, &Asked, &mut Response)),
    /// The exchange is another one.
    Whole(for<'w> fn(&'w World, Asked) -> BoxFuture<'w, Answer>),
}

impl std::fmt::Debug for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("How")
    }
}

impl How {
    /// Asks the target, or does not, and answers.
    pub(super) async fn exchange(&self, world: &World, mut asked: Asked) -> Answer {
        match self {
            Self::Assertion(ignored) => repair::assertion(world, &mut asked, ignored),
            Self::Object(ignored) => repair::object(world, &mut asked, ignored),
            Self::Proof(ignored) => {
                let before = asked.clone();
                proofs::proof(world, &mut asked, ignored);
                let answer = world.forward(&asked).await?;
                proofs::remember(world, &before, &answer);
                return Ok(answer);
            }
            Self::Before(change) => change(world, &mut asked),
            Self::After(change) => {
                let mut answer = world.forward(&asked).await?;
                change(world, &asked, &mut answer);
                return Ok(answer);
            }
            Self::Both(before, after) => {
                before(world, &mut asked);
                let mut answer = world.forward(&asked).await?;
                after(world, &asked, &mut answer);
                return Ok(answer);
            }
            Self::Whole(exchange) => return exchange(world, asked).await,
        }
        world.forward(&asked).await
    }
}

/// All mutants of authorization servers and APIs.
pub fn mutants() -> impl Iterator<Item = &'static Mutant> {
    let lists = [
        assertions::MUTANTS,
        objects::MUTANTS,
        proofs_taken::MUTANTS,
        authorization::MUTANTS,
        tokens::MUTANTS,
        answers::MUTANTS,
        api::MUTANTS,
    ];
    lists.into_iter().flatten()
}

pub(super) const fn mutant(
    name: &'static str,
    breaks: &'static str,
    profile: &'static str,
    caught_by: &'static [&'static str],
    how: How,
) -> Mutant {
    Mutant { name, breaks, profile, caught_by, how }
}

const SECURITY: &str = "fapi2-security";
const SIGNING: &str = "fapi2-message-signing";
const API: &str = "api";
