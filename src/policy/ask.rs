//! What a request looks like to Cedar, declared once.
//!
//! Every request type lists its fields with the macro [`request`]. From that list come the
//! action and its context in the schema, the context of each request, and the readable form
//! that tests have. They cannot disagree, because none of them is written by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, ParseErrors, RestrictedExpression};
use domain::Region;
use serde_json::{Map, Value};

/// The names that requests are put into, parsed once.
#[derive(Debug)]
pub struct Names {
    client: EntityTypeName,
    regions: BTreeMap<Region, EntityUid>,
    choices: BTreeMap<(&'static str, &'static str), EntityUid>,
}

/// Why a request cannot be put to Cedar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsayable {
    /// It names a region that nobody has described.
    Region,
    /// Cedar takes it for no value. No request of these types brings that about; if one did, its
    /// attribute must not be taken for absent.
    Value,
}

/// The attributes of a record that are there.
pub type Pairs = Result<Vec<(String, RestrictedExpression)>, Unsayable>;

/// An entity.
pub type Named = Result<EntityUid, Unsayable>;

/// The value of an attribute. `None` if it is absent.
pub type Valued = Result<Option<RestrictedExpression>, Unsayable>;

/// A type of records, the facts of a request among them.
pub trait Facts {
    /// The attributes in the schema: `client: Client`, `granted: Bool`.
    fn schema() -> Vec<String>;

    /// The attributes that are there, with their values.
    fn pairs(&self, names: &Names) -> Pairs;
}

/// Facts that have a readable form.
pub(crate) trait Readable<'v>: Sized {
    /// Takes the fields out of `object`; what is left in it was none.
    fn take(object: &mut Fields<'v>) -> Result<Self, Unreadable>;
}

/// A request: who asks, to do what, about what is at home where.
pub trait Ask: Facts {
    /// The action's name.
    const ACTION: &'static str;

    /// The type of who asks.
    fn principal_type() -> &'static str;

    /// Who asks.
    fn principal(&self, names: &Names) -> Named;

    /// The home of what it is about.
    fn resource(&self, names: &Names) -> Named;
}

/// How a field of type `T` is an attribute.
pub(crate) trait Kind<T> {
    /// True if the attribute may be absent.
    const OPTIONAL: bool = false;

    /// Its type in the schema.
    fn schema() -> String;

    /// Its value.
    fn value(field: &T, names: &Names) -> Valued;
}

/// A kind that names an entity, so that it can be who asks, or what is asked about.
pub trait Entity {
    /// The entity's type.
    const TYPE: &'static str;
    /// What a field holds.
    type Held<'a>;

    /// The entity.
    fn entity(field: &Self::Held<'_>, names: &Names) -> Named;
}

/// A kind that has a readable form.
pub(crate) trait Form<'v, T>: Kind<T> {
    /// Reads a field.
    fn read(value: Option<&'v Value>, at: &str) -> Result<T, Unreadable>;
}

/// One of a closed list of names.
pub(crate) trait Choice: Copy + 'static {
    /// The entity type of which the names are all there is.
    const TYPE: &'static str;
    /// All of them.
    const ALL: &'static [Self];

    /// Its name.
    fn name(self) -> &'static str;
}

/// Why a readable form is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}{}{why}", if at.is_empty() { "it " } else { ": " })]
pub(crate) struct Unreadable {
    at: String,
    why: String,
}

/// The fields of an object that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Fields<'v> {
    at: String,
    left: BTreeMap<&'v str, &'v Value>,
}

/// A yes or no.
pub(crate) struct Flag;
/// A text.
pub(crate) struct Text;
/// A set of texts.
pub(crate) struct Texts;
/// The id of a client.
pub(crate) struct Client;
/// A region.
pub(crate) struct Place;
/// One of a closed list.
pub(crate) struct OneOf;
/// A record.
pub(crate) struct Record;
/// What may be absent.
pub(crate) struct Maybe<K>(K);

impl Names {
    /// Parses the names of these regions, and those that are always the same.
    pub(crate) fn new(
        regions: impl IntoIterator<Item = Region>,
        choices: &[(&'static str, Vec<&'static str>)],
    ) -> Result<Self, Box<ParseErrors>> {
        let place = EntityTypeName::from_str(Place::TYPE).map_err(Box::new)?;
        let mut named = BTreeMap::new();
        for (kind, names) in choices {
            let of = EntityTypeName::from_str(kind).map_err(Box::new)?;
            for name in names {
                named.insert((*kind, *name), uid(&of, name));
            }
        }
        Ok(Self {
            client: EntityTypeName::from_str(Client::TYPE).map_err(Box::new)?,
            regions: regions.into_iter().map(|region| (region, uid(&place, region.as_str()))).collect(),
            choices: named,
        })
    }

    /// The entity of a region.
    pub(crate) fn region(&self, region: Region) -> Named {
        self.regions.get(&region).cloned().ok_or(Unsayable::Region)
    }
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

impl Unreadable {
    pub(crate) fn new(at: &str, why: impl Into<String>) -> Self {
        Self { at: at.to_owned(), why: why.into() }
    }
}

impl<'v> Fields<'v> {
    /// The fields of `value`, which lies at `at`.
    pub(crate) fn of(value: Option<&'v Value>, at: &str) -> Result<Self, Unreadable> {
        let object: &Map<String, Value> =
            value.and_then(Value::as_object).ok_or_else(|| Unreadable::new(at, "is a table of fields"))?;
        let left = object.iter().map(|(name, value)| (name.as_str(), value)).collect();
        Ok(Self { at: at.to_owned(), left })
    }

    /// Takes a field, and says where it lies.
    pub(crate) fn take(&mut self, name: &str) -> (Option<&'v Value>, String) {
        let at = if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) };
        (self.left.remove(name), at)
    }

    /// Complains of what nobody took.
    pub(crate) fn end(self) -> Result<(), Unreadable> {
        match self.left.keys().next() {
            Some(name) => Err(Unreadable::new(&self.at, format!("has no field {name}"))),
            None => Ok(()),
        }
    }
}

impl Kind<bool> for Flag {
    fn schema() -> String {
        "Bool".to_owned()
    }

    fn value(field: &bool, _: &Names) -> Valued {
        Ok(Some(RestrictedExpression::new_bool(*field)))
    }
}

impl<'v> Form<'v, bool> for Flag {
    fn read(value: Option<&'v Value>, at: &str) -> Result<bool, Unreadable> {
        value.and_then(Value::as_bool).ok_or_else(|| Unreadable::new(at, "is true or false"))
    }
}

impl Kind<&str> for Text {
    fn schema() -> String {
        "String".to_owned()
    }

    fn value(field: &&str, _: &Names) -> Valued {
        Ok(Some(RestrictedExpression::new_string((*field).to_owned())))
    }
}

impl<'v> Form<'v, &'v str> for Text {
    fn read(value: Option<&'v Value>, at: &str) -> Result<&'v str, Unreadable> {
        value.and_then(Value::as_str).ok_or_else(|| Unreadable::new(at, "is a text"))
    }
}

impl Kind<BTreeSet<&str>> for Texts {
    fn schema() -> String {
        "Set<String>".to_owned()
    }

    fn value(field: &BTreeSet<&str>, _: &Names) -> Valued {
        let texts = field.iter().map(|text| RestrictedExpression::new_string((*text).to_owned()));
        Ok(Some(RestrictedExpression::new_set(texts)))
    }
}

impl<'v> Form<'v, BTreeSet<&'v str>> for Texts {
    fn read(value: Option<&'v Value>, at: &str) -> Result<BTreeSet<&'v str>, Unreadable> {
        let texts: Option<BTreeSet<&str>> =
            value.and_then(Value::as_array).and_then(|texts| texts.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| Unreadable::new(at, "is a list of texts"))
    }
}

impl Entity for Client {
    const TYPE: &'static str = "Client";
    type Held<'a> = &'a str;

    fn entity(field: &&str, names: &Names) -> Named {
        Ok(uid(&names.client, field))
    }
}

impl Kind<&str> for Client {
    fn schema() -> String {
        Self::TYPE.to_owned()
    }

    fn value(field: &&str, names: &Names) -> Valued {
        Self::entity(field, names).map(|uid| Some(RestrictedExpression::new_entity_uid(uid)))
    }
}

impl<'v> Form<'v, &'v str> for Client {
    fn read(value: Option<&'v Value>, at: &str) -> Result<&'v str, Unreadable> {
        value.and_then(Value::as_str).ok_or_else(|| Unreadable::new(at, "is the id of a client"))
    }
}

impl Entity for Place {
    const TYPE: &'static str = "Region";
    type Held<'a> = Region;

    fn entity(field: &Region, names: &Names) -> Named {
        names.region(*field)
    }
}

impl Kind<Region> for Place {
    fn schema() -> String {
        Self::TYPE.to_owned()
    }

    fn value(field: &Region, names: &Names) -> Valued {
        names.region(*field).map(|uid| Some(RestrictedExpression::new_entity_uid(uid)))
    }
}

impl<'v> Form<'v, Region> for Place {
    fn read(value: Option<&'v Value>, at: &str) -> Result<Region, Unreadable> {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        text.parse().map_err(|error: domain::InvalidRegion| Unreadable::new(at, error.to_string()))
    }
}

impl<C: Choice> Kind<C> for OneOf {
    fn schema() -> String {
        C::TYPE.to_owned()
    }

    fn value(field: &C, names: &Names) -> Valued {
        let choice = names.choices.get(&(C::TYPE, field.name())).cloned().ok_or(Unsayable::Value)?;
        Ok(Some(RestrictedExpression::new_entity_uid(choice)))
    }
}

impl<'v, C: Choice> Form<'v, C> for OneOf {
    fn read(value: Option<&'v Value>, at: &str) -> Result<C, Unreadable> {
        let name = value.and_then(Value::as_str).unwrap_or_default();
        C::ALL.iter().copied().find(|choice| choice.name() == name).ok_or_else(|| {
            let names: Vec<_> = C::ALL.iter().map(|choice| choice.name()).collect();
            Unreadable::new(at, format!("is one of {}", names.join(", ")))
        })
    }
}

impl<F: Facts> Kind<F> for Record {
    fn schema() -> String {
        format!("{{ {} }}", F::schema().join(", "))
    }

    fn value(field: &F, names: &Names) -> Valued {
        RestrictedExpression::new_record(field.pairs(names)?).map(Some).map_err(|_| Unsayable::Value)
    }
}

impl<'v, F: Facts + Readable<'v>> Form<'v, F> for Record {
    fn read(value: Option<&'v Value>, at: &str) -> Result<F, Unreadable> {
        let mut fields = Fields::of(value, at)?;
        let record = F::take(&mut fields)?;
        fields.end()?;
        Ok(record)
    }
}

impl<T, K: Kind<T>> Kind<Option<T>> for Maybe<K> {
    const OPTIONAL: bool = true;

    fn schema() -> String {
        K::schema()
    }

    fn value(field: &Option<T>, names: &Names) -> Valued {
        match field {
            Some(field) => K::value(field, names),
            None => Ok(None),
        }
    }
}

impl<'v, T, K: Form<'v, T>> Form<'v, Option<T>> for Maybe<K> {
    fn read(value: Option<&'v Value>, at: &str) -> Result<Option<T>, Unreadable> {
        value.map(|value| K::read(Some(value), at)).transpose()
    }
}

/// Declares a record: `Name('v)[<'v>]` of `field: Type as Kind`. The lifetime is that of the
/// text that its readable form borrows from. Fields of the scope are no attributes.
macro_rules! record {
    (
        $(#[$doc:meta])*
        pub struct $name:ident($life:lifetime)[$($of:tt)*] {
            scope { $($(#[$about:meta])* $scoped:ident: $scope:ty as $by:ty),* $(,)? }
            context { $($(#[$says:meta])* $field:ident: $type:ty as $kind:ty),* $(,)? }
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name $($of)* {
            $($(#[$about])* pub $scoped: $scope,)*
            $($(#[$says])* pub $field: $type,)*
        }

        impl $($of)* $crate::ask::Facts for $name $($of)* {
            fn schema() -> Vec<String> {
                vec![$({
                    let sign = if <$kind as $crate::ask::Kind<$type>>::OPTIONAL { "?" } else { "" };
                    format!("{}{sign}: {}", stringify!($field), <$kind as $crate::ask::Kind<$type>>::schema())
                }),*]
            }

            fn pairs(&self, names: &$crate::ask::Names) -> $crate::ask::Pairs {
                // A request without a context names nothing.
                let _ = names;
                let pairs: Vec<Option<(String, _)>> = vec![$(
                    <$kind as $crate::ask::Kind<$type>>::value(&self.$field, names)?
                        .map(|value| (stringify!($field).to_owned(), value))
                ),*];
                Ok(pairs.into_iter().flatten().collect())
            }
        }

        impl<$life> $crate::ask::Readable<$life> for $name $($of)* {
            fn take(fields: &mut $crate::ask::Fields<$life>) -> Result<Self, $crate::ask::Unreadable> {
                Ok(Self {
                    $($scoped: {
                        let (value, at) = fields.take(stringify!($scoped));
                        <$by as $crate::ask::Form<$life, $scope>>::read(value, &at)?
                    },)*
                    $($field: {
                        let (value, at) = fields.take(stringify!($field));
                        <$kind as $crate::ask::Form<$life, $type>>::read(value, &at)?
                    },)*
                })
            }
        }
    };
}

/// Declares a request: a record that is asked, by whom, about what is at home where.
macro_rules! request {
    (
        $(#[$doc:meta])*
        pub struct $name:ident($life:lifetime)[$($of:tt)*][$($lasting:tt)*] asks $action:literal {
            scope { $($scope:tt)* }
            context { $($context:tt)* }
            principal($asks:ident) { $who:ty: $principal:expr }
            resource($about:ident) { $place:ty: $resource:expr }
        }
    ) => {
        $crate::ask::record! {
            $(#[$doc])*
            pub struct $name($life)[$($of)*] {
                scope { $($scope)* }
                context { $($context)* }
            }
        }

        impl $($of)* $crate::ask::Ask for $name $($of)* {
            const ACTION: &'static str = $action;

            fn principal_type() -> &'static str {
                <$who as $crate::ask::Entity>::TYPE
            }

            fn principal(&self, names: &$crate::ask::Names) -> $crate::ask::Named {
                let $asks = self;
                <$who as $crate::ask::Entity>::entity(&$principal, names)
            }

            fn resource(&self, names: &$crate::ask::Names) -> $crate::ask::Named {
                let $about = self;
                <$place as $crate::ask::Entity>::entity(&$resource, names)
            }
        }

        impl $($of)* $crate::engine::Decision for $name $($of)* {
            type Lasting = $name $($lasting)*;
        }
    };
}

/// Declares one of a closed list of names.
macro_rules! choice {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$says:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$says])* $variant,)*
        }

        impl $crate::ask::Choice for $name {
            const TYPE: &'static str = stringify!($name);
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

pub(crate) use {choice, record, request};
