//! A set of rules, read, checked, and ready to decide.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicyId, PolicySet,
    Request, Schema, ValidationMode, Validator,
};

use crate::ask::{Ask, Names, Unsayable};
use crate::engine::{Denied, Reason};
use crate::invalid::{Finding, InvalidPolicies};
use crate::regions::Regions;
use crate::requests::{self, for_each_request};
use crate::schema::schema;
use crate::source::Source;

/// So much stack is left for a decision, in bytes; Cedar wants 100 KiB of it at its deepest.
const STACK_LEFT: usize = 512 * 1024;
/// How much there is where less is left.
const STACK_ADDED: usize = 1024 * 1024;

/// The rules, by the action that they are about.
#[derive(Debug)]
pub(crate) struct Rules {
    authorizer: Authorizer,
    names: Names,
    entities: Entities,
    actions: HashMap<&'static str, Action>,
    says: BTreeMap<Arc<str>, Arc<str>>,
    /// Every rule, as it is written.
    policies: Vec<Policy>,
    regions: Regions,
}

/// What there is to one action.
#[derive(Debug)]
struct Action {
    uid: EntityUid,
    /// The rules that can be about it. Cedar looks at every rule of a set.
    rules: PolicySet,
}

impl Rules {
    /// Reads and checks rules. Their own tests are not run.
    pub(crate) fn read(source: &Source) -> Result<Self, InvalidPolicies> {
        let (file, text) = source.regions();
        let regions = Regions::parse(text)
            .map_err(|(says, offset)| InvalidPolicies::of(Finding::at(file, text, offset, says)))?;
        let schema = parsed_schema()?;
        let mut policies = Vec::new();
        let mut findings = Vec::new();
        for (file, text) in source.rules() {
            match parse(file, text, &schema) {
                Ok(read) => policies.extend(read.into_iter().map(|policy| (file, policy))),
                Err(invalid) => findings.extend(invalid.findings),
            }
        }
        let mut says: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        for (file, policy) in &policies {
            let id: Arc<str> = policy.id().to_string().into();
            if says.insert(id, policy.annotation("says").unwrap_or_default().into()).is_some() {
                findings.push(Finding::whole(file, format!("{} is there twice", policy.id())));
            }
        }
        if says.is_empty() && findings.is_empty() {
            findings.push(Finding::whole("*.cedar", "there are no rules".to_owned()));
        }
        InvalidPolicies::unless_none(findings)?;
        let policies = policies.into_iter().map(|(_, policy)| policy).collect();
        Self::of(regions, policies, says)
    }

    /// The same rules, where there are more regions.
    pub(crate) fn with(&self, more: &Regions) -> Result<Self, InvalidPolicies> {
        let regions = self.regions.and(more);
        let regions = regions.map_err(|says| InvalidPolicies::of(Finding::whole("regions.toml", says)))?;
        Self::of(regions, self.policies.clone(), self.says.clone())
    }

    fn of(
        regions: Regions,
        policies: Vec<Policy>,
        says: BTreeMap<Arc<str>, Arc<str>>,
    ) -> Result<Self, InvalidPolicies> {
        let names = Names::new(regions.iter(), &requests::choices())
            .map_err(|error| InvalidPolicies::of(Finding::whole("schema", error.to_string())))?;
        let entities = regions.entities(&names).ok_or_else(|| {
            InvalidPolicies::of(Finding::whole("regions.toml", "describes no entities".to_owned()))
        })?;
        let mut actions = HashMap::new();
        for name in action_names() {
            let uid = action_uid(name)?;
            let rules = PolicySet::from_policies(about(&policies, &uid).cloned())
                .map_err(|error| InvalidPolicies::of(Finding::whole(name, error.to_string())))?;
            actions.insert(name, Action { uid, rules });
        }
        Ok(Self { authorizer: Authorizer::new(), names, entities, actions, says, policies, regions })
    }

    /// The ids of the permits by which a request is allowed, or why it is not. However deep in its
    /// stack the caller is: Cedar fails where little is left, and what fails is denied.
    pub(crate) fn decide<A: Ask>(&self, asked: &A) -> Result<Vec<Arc<str>>, Denied> {
        stacker::maybe_grow(STACK_LEFT, STACK_ADDED, || self.decide_here(asked))
    }

    fn decide_here<A: Ask>(&self, asked: &A) -> Result<Vec<Arc<str>>, Denied> {
        let action = self.actions.get(A::ACTION).ok_or_else(|| Denied::of(NO_PERMIT))?;
        let request = self.request(asked).map_err(Denied::of)?;
        let answer = self.authorizer.is_authorized(&request, &action.rules, &self.entities);
        let mut ids: Vec<Arc<str>> = answer.diagnostics().reason().filter_map(|id| self.id(id)).collect();
        ids.sort_unstable();
        let failed = answer.diagnostics().errors().next().is_some();
        match answer.decision() {
            Decision::Allow if !failed => Ok(ids),
            // A permit is no reason to refuse.
            Decision::Allow => Err(Denied::of(RULE_FAILED)),
            Decision::Deny => {
                let reasons = ids.into_iter().map(|rule| {
                    let says = self.says.get(&rule).cloned().unwrap_or_default();
                    Reason { rule, says }
                });
                let failure = failed.then_some(RULE_FAILED).map(Reason::from);
                let mut reasons: Vec<Reason> = reasons.chain(failure).collect();
                if reasons.is_empty() {
                    reasons.push(Reason::from(NO_PERMIT));
                }
                Err(Denied::because(reasons))
            }
        }
    }

    /// What Cedar is asked.
    pub(crate) fn request<A: Ask>(&self, asked: &A) -> Result<Request, Own> {
        let action = self.actions.get(A::ACTION).ok_or(NO_PERMIT)?;
        let why = |unsayable| match unsayable {
            Unsayable::Region => UNKNOWN_REGION,
            Unsayable::Value => RULE_FAILED,
        };
        let principal = asked.principal(&self.names).map_err(why)?;
        let resource = asked.resource(&self.names).map_err(why)?;
        let pairs = asked.pairs(&self.names).map_err(why)?;
        let context = Context::from_pairs(pairs).map_err(|_| RULE_FAILED)?;
        // Not held against the schema: it is made from the same fields, which a test compares.
        Request::new(principal, action.uid.clone(), resource, context, None).map_err(|_| RULE_FAILED)
    }

    /// Every rule: its id, and what it says.
    pub(crate) fn says(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.says
    }

    /// Every rule, as it is written.
    #[cfg(feature = "prove")]
    pub(crate) fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The entities of the regions.
    #[cfg(any(feature = "prove", test))]
    pub(crate) fn entities(&self) -> &Entities {
        &self.entities
    }

    fn id(&self, id: &PolicyId) -> Option<Arc<str>> {
        let id: &str = id.as_ref();
        self.says.get_key_value(id).map(|(id, _)| Arc::clone(id))
    }
}

/// A reason that is not a rule of the files.
pub(crate) type Own = (&'static str, &'static str);

pub(crate) const NO_PERMIT: Own = ("policy.no-permit", "No rule permits this.");
pub(crate) const RULE_FAILED: Own = ("policy.rule-failed", "A rule could not be evaluated.");
pub(crate) const UNKNOWN_REGION: Own =
    ("policy.unknown-region", "A region is named that this gateway does not know.");

/// The names of the actions.
pub(crate) fn action_names() -> impl Iterator<Item = &'static str> {
    use requests::{Agree, ChangePayment, ConfirmFunds, Forward, Keep, OrderPayment, ReadData};
    macro_rules! action {
        ($type:ident) => {
            $type::ACTION
        };
    }
    for_each_request!(action).into_iter()
}

/// The entity of an action.
pub(crate) fn action_uid(name: &str) -> Result<EntityUid, InvalidPolicies> {
    EntityUid::from_str(&format!("Action::\"{name}\""))
        .map_err(|error| InvalidPolicies::of(Finding::whole("schema", error.to_string())))
}

/// The rules that can be about an action.
pub(crate) fn about<'p>(policies: &'p [Policy], action: &EntityUid) -> impl Iterator<Item = &'p Policy> {
    policies.iter().filter(move |policy| match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => one == *action,
        ActionConstraint::In(several) => several.contains(action),
    })
}

/// The schema, as Cedar has it.
pub(crate) fn parsed_schema() -> Result<Schema, InvalidPolicies> {
    let text = schema();
    let (schema, _) = Schema::from_cedarschema_str(&text).map_err(|error| InvalidPolicies {
        findings: Finding::of_cedar("schema", &text, DetailedError::from(&error)),
    })?;
    Ok(schema)
}

/// Reads a file of rules, names each by its id, and holds it against the schema.
pub(crate) fn parse(file: &str, text: &str, schema: &Schema) -> Result<Vec<Policy>, InvalidPolicies> {
    let set = PolicySet::from_str(text).map_err(|error| InvalidPolicies {
        findings: Finding::of_cedar(file, text, DetailedError::from(&error)),
    })?;
    let mut findings = Vec::new();
    let checked = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    for error in checked.validation_errors() {
        findings.extend(Finding::of_cedar(file, text, DetailedError::from(error)));
    }
    // A rule that can never apply is a mistake, too.
    for warning in checked.validation_warnings() {
        findings.extend(Finding::of_cedar(file, text, DetailedError::from(warning)));
    }
    if set.templates().next().is_some() {
        findings.push(Finding::whole(file, "has a template, which nobody fills in".to_owned()));
    }
    let mut policies = Vec::new();
    for policy in set.policies() {
        match named(policy) {
            Ok(policy) => policies.push(policy),
            Err(says) => findings.push(Finding::whole(file, says)),
        }
    }
    InvalidPolicies::unless_none(findings)?;
    Ok(policies)
}

/// A rule under the id that it gives itself.
fn named(policy: &Policy) -> Result<Policy, String> {
    let number = policy.id();
    let id = policy.annotation("id").ok_or_else(|| format!("{number} has no @id"))?;
    let form = |c: char| c.is_ascii_lowercase() || c == '-';
    let dotted =
        id.split('.').count() > 1 && id.split('.').all(|part| !part.is_empty() && part.chars().all(form));
    if !dotted {
        return Err(format!("@id(\"{id}\") is words of lower-case letters with a dot between them"));
    }
    if id.starts_with("policy.") {
        return Err(format!("@id(\"{id}\") is the engine's own: nothing else begins with policy"));
    }
    let says = policy.annotation("says").unwrap_or_default();
    if says.is_empty() || says.len() > LONGEST_SENTENCE {
        return Err(format!("{id} has no @says, or one of more than {LONGEST_SENTENCE} bytes"));
    }
    Ok(policy.new_id(PolicyId::new(id)))
}

const LONGEST_SENTENCE: usize = 200;
