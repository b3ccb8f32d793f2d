//! The schema of the rules, made from the request types.

use crate::ask::{Ask, Client, Entity as _, Facts, Place};
use crate::regions::Described;
use crate::requests::{
    Agree, ChangePayment, ConfirmFunds, Forward, Keep, OrderPayment, ReadData, choices, for_each_request,
};

/// The schema that rules are held against, in Cedar's own form.
///
/// It is for editors and for readers; the gateway makes its own at every start.
#[must_use]
pub fn schema() -> String {
    let mut text =
        String::from("// Made from the request types of the crate `policy`. Not to be edited.\n\n");
    text.push_str(&format!("entity {};\n\n", Client::TYPE));
    text.push_str(&format!("entity {} {{ {} }};\n", Place::TYPE, Described::schema()));
    for (kind, names) in choices() {
        let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        text.push_str(&format!("\nentity {kind} enum [{}];\n", names.join(", ")));
    }
    macro_rules! action {
        ($type:ident) => {
            action::<$type>()
        };
    }
    text.push_str(&for_each_request!(action).concat());
    text
}

fn action<A: Ask + Facts>() -> String {
    let attributes: String = A::schema().iter().map(|attribute| format!("\n    {attribute},")).collect();
    format!(
        "\naction \"{}\" appliesTo {{\n  principal: {},\n  resource: {},\n  context: {{{attributes}\n  }}\n}};\n",
        A::ACTION,
        A::principal_type(),
        Place::TYPE,
    )
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Entities, Request};

    use crate::rules::{Rules, parsed_schema};
    use crate::source::Source;
    use crate::trial;

    /// For editors, which look for a schema beside the rules.
    #[test]
    fn the_schema_beside_the_rules_is_ours() {
        let there = include_str!("../../policies/access/policy.cedarschema");
        assert_eq!(there, super::schema(), "write what is expected into policies/access/policy.cedarschema");
    }

    #[test]
    fn requests_and_regions_are_as_the_schema_says() {
        let schema = parsed_schema().unwrap();
        let source = Source::shipped();
        let asked = trial::asked(&source, &Rules::read(&source).unwrap()).unwrap();
        let mut actions = std::collections::BTreeSet::new();
        for (request, entities) in asked {
            let part = |entity: Option<&cedar_policy::EntityUid>| entity.unwrap().clone();
            let (action, context) = (part(request.action()), request.context().unwrap().clone());
            actions.insert(action.to_string());
            let (principal, resource) = (part(request.principal()), part(request.resource()));
            Request::new(principal, action, resource, context, Some(&schema)).unwrap();
            Entities::from_entities(entities.iter().cloned(), Some(&schema)).unwrap();
        }
        assert_eq!(actions.len(), crate::rules::action_names().count(), "every action is asked");
    }
}
