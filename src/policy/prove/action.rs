//! What has to hold of one action.

use std::sync::Arc;

use cedar_policy::{
    Authorizer, Decision, Effect, Entities, EntityUid, Policy, PolicyId, PolicySet, Request, RequestEnv,
    Schema,
};
use cedar_policy_symcc::{
    CompiledPolicy, CompiledPolicySet, equivalent_asserts, implies_asserts, never_errors_asserts,
};
use serde_json::{Value, json};

use crate::rules::{about, action_uid};

use super::example::readable;
use super::report::{Broken, Half, Held, ProveFailed};
use super::solver::{Solver, silent};

/// An action, its invariants, and what the tests ask of it.
pub(super) struct Action {
    name: &'static str,
    uid: EntityUid,
    env: RequestEnv,
    schema: Schema,
    invariants: Vec<Invariant>,
    /// Allows what every `only` allows.
    only: CompiledPolicySet,
    /// Allows what any `always` allows.
    always: CompiledPolicySet,
    /// The rules as they are.
    rules: Halves,
    examples: Vec<Example>,
}

/// What has to hold.
pub(super) struct Invariant {
    id: String,
    says: String,
    always: bool,
    compiled: CompiledPolicySet,
}

/// A request of the tests, and what the invariants say of it.
struct Example {
    request: Request,
    entities: Arc<Entities>,
    /// It may be allowed.
    may: bool,
    /// It must be.
    must: bool,
}

/// The rules of an action, by halves.
pub(super) struct Halves {
    permits: PolicySet,
    forbids: PolicySet,
    all: PolicySet,
}

/// A question to a solver.
pub(super) enum Question<'a> {
    /// Does this invariant hold of that half?
    Holds(&'a Invariant, Half),
    /// Does this rule never fail?
    NeverFails(&'a Policy),
}

impl Action {
    pub(super) fn new(
        name: &'static str,
        schema: &Schema,
        policies: &[Policy],
        invariants: &[Policy],
        tests: &[(Request, Arc<Entities>)],
    ) -> Result<Self, ProveFailed> {
        let uid = action_uid(name)?;
        let env = schema.request_envs().find(|env| *env.action() == uid);
        let env = env.ok_or_else(|| ProveFailed::Solver(format!("the schema has no action {name}")))?;
        let compile = |set: &PolicySet| CompiledPolicySet::compile(set, &env, schema).map_err(silent);

        let (mut only, mut always) = (vec![everything()?], Vec::new());
        let mut stated = Vec::new();
        for policy in about(invariants, &uid) {
            let kind = policy.annotation("holds").unwrap_or_default();
            match kind {
                "only" => only.push(refusing(policy)?),
                "always" => always.push(policy.clone()),
                other => return Err(ProveFailed::Solver(format!("an invariant holds {other:?}"))),
            }
            stated.push(Invariant {
                id: policy.id().to_string(),
                says: policy.annotation("says").unwrap_or_default().to_owned(),
                always: kind == "always",
                compiled: compile(&set([policy.clone()])?)?,
            });
        }
        let (only, always) = (set(only)?, set(always)?);
        let authorizer = Authorizer::new();
        let examples = tests.iter().filter(|(request, _)| request.action() == Some(&uid));
        let examples = examples.map(|(request, entities)| {
            let allows = |set| authorizer.is_authorized(request, set, entities).decision() == Decision::Allow;
            let (may, must) = (allows(&only), allows(&always));
            Example { request: request.clone(), entities: Arc::clone(entities), may, must }
        });
        Ok(Self {
            name,
            invariants: stated,
            only: compile(&only)?,
            always: compile(&always)?,
            rules: Halves::of(policies, &uid)?,
            examples: examples.collect(),
            env: env.clone(),
            schema: schema.clone(),
            uid,
        })
    }

    /// True if a rule can be about this action.
    pub(super) fn concerns(&self, policy: &Policy) -> bool {
        about(std::slice::from_ref(policy), &self.uid).next().is_some()
    }

    /// The halves of the rules that are about this action.
    pub(super) fn halves(&self, policies: &[Policy]) -> Result<Halves, ProveFailed> {
        Halves::of(policies, &self.uid)
    }

    /// All that has to be asked of the rules.
    pub(super) fn questions<'a>(&'a self, policies: &'a [Policy]) -> impl Iterator<Item = Question<'a>> {
        let invariants = self.invariants.iter().flat_map(|invariant| {
            let of: &[Half] = if invariant.always { &[Half::All] } else { &[Half::Permits, Half::Forbids] };
            of.iter().map(move |half| Question::Holds(invariant, *half))
        });
        invariants.chain(about(policies, &self.uid).map(Question::NeverFails))
    }

    /// Asks a question.
    pub(super) fn ask(
        &self,
        solver: &mut Solver<'_>,
        question: Question<'_>,
    ) -> Result<Result<Held, Broken>, ProveFailed> {
        let (what, breaks) = match question {
            Question::Holds(invariant, half) => {
                let rules = self.compile(self.rules.half(half))?;
                let asserts = if invariant.always {
                    implies_asserts(&invariant.compiled, &rules)
                } else {
                    implies_asserts(&rules, &invariant.compiled)
                };
                let (id, says) = (invariant.id.clone(), invariant.says.clone());
                (Held { action: self.name, id, says, half }, solver.breaks(&asserts)?)
            }
            Question::NeverFails(policy) => {
                let rule = CompiledPolicy::compile(policy, &self.env, &self.schema).map_err(silent)?;
                let says = "The rule fails on no request.".to_owned();
                let held = Held { action: self.name, id: policy.id().to_string(), says, half: Half::Rule };
                (held, solver.breaks(&never_errors_asserts(&rule))?)
            }
        };
        Ok(match breaks {
            None => Ok(what),
            Some(env) => Err(Broken { what, example: readable(&env) }),
        })
    }

    /// True if a request of the tests shows that an invariant does not hold of these rules.
    pub(super) fn refutes(&self, halves: &Halves) -> bool {
        let authorizer = Authorizer::new();
        self.examples.iter().any(|Example { request, entities, may, must }| {
            let allows = |set: &PolicySet| {
                let answer = authorizer.is_authorized(request, set, entities);
                // A rule that fails breaks the invariant that none does.
                let failed = answer.diagnostics().errors().next().is_some();
                (!failed).then_some(answer.decision() == Decision::Allow)
            };
            match (allows(&halves.permits), allows(&halves.forbids)) {
                (Some(permits), Some(forbids)) => {
                    ((permits || forbids) && !may) || (*must && !(permits && forbids))
                }
                (None, _) | (_, None) => true,
            }
        })
    }

    /// True if the solver finds a request by which an invariant does not hold of these rules.
    pub(super) fn rejects(&self, solver: &mut Solver<'_>, halves: &Halves) -> Result<bool, ProveFailed> {
        // A half that is as it was keeps what it kept.
        for (half, _) in self.changed(halves) {
            if !solver.implies(&self.compile(half)?, &self.only)? {
                return Ok(true);
            }
        }
        Ok(!solver.implies(&self.always, &self.compile(&halves.all)?)?)
    }

    /// True if each half of these rules decides every request as it did.
    pub(super) fn same(&self, solver: &mut Solver<'_>, halves: &Halves) -> Result<bool, ProveFailed> {
        for (half, was) in self.changed(halves) {
            if !solver.holds(&equivalent_asserts(&self.compile(half)?, &self.compile(was)?))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The halves that are not as they were, each with what it was.
    fn changed<'h>(&'h self, halves: &'h Halves) -> impl Iterator<Item = (&'h PolicySet, &'h PolicySet)> {
        let was = &self.rules;
        [(&halves.permits, &was.permits), (&halves.forbids, &was.forbids)]
            .into_iter()
            .filter(|(half, was)| half != was)
    }

    fn compile(&self, set: &PolicySet) -> Result<CompiledPolicySet, ProveFailed> {
        CompiledPolicySet::compile(set, &self.env, &self.schema).map_err(silent)
    }
}

impl Halves {
    fn of(policies: &[Policy], action: &EntityUid) -> Result<Self, ProveFailed> {
        let of = |effect| about(policies, action).filter(move |policy| policy.effect() == effect).cloned();
        Ok(Self {
            permits: set(of(Effect::Permit))?,
            forbids: set(of(Effect::Forbid).chain([everything()?]))?,
            all: set(about(policies, action).cloned())?,
        })
    }

    fn half(&self, half: Half) -> &PolicySet {
        match half {
            Half::Permits => &self.permits,
            Half::Forbids => &self.forbids,
            Half::All | Half::Rule => &self.all,
        }
    }
}

fn set(policies: impl IntoIterator<Item = Policy>) -> Result<PolicySet, ProveFailed> {
    PolicySet::from_policies(policies).map_err(silent)
}

/// A permit of everything.
fn everything() -> Result<Policy, ProveFailed> {
    // No rule has this id: those have a dot in it.
    Policy::parse(Some(PolicyId::new("everything")), "permit (principal, action, resource);").map_err(silent)
}

/// A forbid of what a permit with one condition does not permit.
fn refusing(permit: &Policy) -> Result<Policy, ProveFailed> {
    let mut form = permit.to_json().map_err(silent)?;
    let one = form.pointer("/conditions/0/body").cloned();
    let (Some(body), None) = (one, form.pointer("/conditions/1")) else {
        return Err(ProveFailed::Solver(format!("{} has not one condition", permit.id())));
    };
    if let Value::Object(fields) = &mut form {
        fields.insert("effect".to_owned(), json!("forbid"));
        fields.insert("conditions".to_owned(), json!([{ "kind": "unless", "body": body }]));
    }
    Policy::from_json(Some(permit.id().clone()), form).map_err(silent)
}
