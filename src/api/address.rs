//! Postal addresses, given and shown.

use domain::{Country, Pii, PostalAddress, Violations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An address (ISO 20022 PostalAddress).
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Address {
    /// Lines, where there are no parts; at most seven of 70 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 7)]
    address_lines: Vec<Pii<String>>,
    /// Street.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 70)]
    street_name: Option<Pii<String>>,
    /// Number of the building.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 16)]
    building_number: Option<Pii<String>>,
    /// Post code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 16)]
    post_code: Option<Pii<String>>,
    /// Town.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 35)]
    town_name: Option<Pii<String>>,
    /// State, county, canton.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 35)]
    country_sub_division: Option<Pii<String>>,
    /// ISO 3166-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    country: Option<Pii<String>>,
}

impl From<&PostalAddress> for Address {
    fn from(address: &PostalAddress) -> Self {
        let PostalAddress {
            lines,
            street_name,
            building_number,
            post_code,
            town_name,
            country_sub_division,
            country,
        } = address.clone();
        Self {
            address_lines: lines,
            street_name,
            building_number,
            post_code,
            town_name,
            country_sub_division,
            country,
        }
    }
}

impl Address {
    /// An address that a bank can be given: printable, within the lengths of every
    /// standard, with its country.
    pub(crate) fn parse(&self, pointer: &str, v: &mut Violations) -> PostalAddress {
        let parts = [
            ("street_name", &self.street_name, 70),
            ("building_number", &self.building_number, 16),
            ("post_code", &self.post_code, 16),
            ("town_name", &self.town_name, 35),
            ("country_sub_division", &self.country_sub_division, 35),
        ];
        for (name, part, most) in parts {
            if part.as_ref().is_some_and(|part| !crate::payment_order::is_line(part, most)) {
                let detail = format!("1 to {most} printable characters");
                v.add(format!("{pointer}/{name}"), "text.invalid", detail);
            }
        }
        let lines = &self.address_lines;
        if lines.len() > 7 || lines.iter().any(|line| !crate::payment_order::is_line(line, 70)) {
            v.add(
                format!("{pointer}/address_lines"),
                "text.invalid",
                "at most 7 lines of 1 to 70 characters",
            );
        }
        let country = self.country.as_deref().unwrap_or_default().parse::<Country>();
        let country = v.take(&format!("{pointer}/country"), "country.invalid", country);
        PostalAddress {
            lines: self.address_lines.clone(),
            street_name: self.street_name.clone(),
            building_number: self.building_number.clone(),
            post_code: self.post_code.clone(),
            town_name: self.town_name.clone(),
            country_sub_division: self.country_sub_division.clone(),
            country: country.map(|country| country.to_string()).map(Pii::from),
        }
    }
}
