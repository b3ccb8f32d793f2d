//! Customers and accounts of the banks. Bank codes are fictitious, the
//! checksums are right.

use rust_decimal::Decimal;

use crate::BankKind;

/// The password of every sandbox customer.
pub const PASSWORD: &str = "sandbox";

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Current,
    Savings,
    /// A credit card; its IBAN is the bank's own and never shown.
    Card,
}

/// One account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: &'static str,
    pub(crate) user: &'static str,
    /// Who must agree beside the user before its data is shared.
    pub(crate) cosigner: Option<&'static str>,
    pub(crate) owner: &'static str,
    pub(crate) name: &'static str,
    pub(crate) product: Product,
    pub(crate) currency: &'static str,
    pub(crate) iban: &'static str,
    /// Balance before any payment of ours, in hundredths.
    cents: i64,
}

impl Account {
    pub(crate) fn opening(&self) -> Decimal {
        Decimal::new(self.cents, 2)
    }

    /// True if the customer holds it, alone or with another.
    pub(crate) fn is_of(&self, user: &str) -> bool {
        self.user == user || self.cosigner == Some(user)
    }

    /// Who must agree before its data is shared.
    pub(crate) fn signers(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.user), self.cosigner].into_iter().flatten()
    }

    /// The number of a card with its middle hidden.
    pub(crate) fn masked_pan(&self) -> Option<String> {
        let end = self.iban.get(self.iban.len().saturating_sub(4)..)?;
        (self.product == Product::Card).then(|| format!("525412******{end}"))
    }

    /// True if its holder has agreed at the bank that card issuers are told whether an
    /// amount is there.
    pub(crate) fn answers_card_issuers(&self) -> bool {
        self.product == Product::Current
    }

    /// Sort code and account number in one, as the UK writes it.
    pub(crate) fn sort_code_account(&self) -> &'static str {
        self.iban.get(8..).unwrap_or_default()
    }
}

const fn account(
    id: &'static str,
    (user, owner): (&'static str, &'static str),
    (name, product): (&'static str, Product),
    (currency, iban): (&'static str, &'static str),
    cents: i64,
) -> Account {
    Account { id, user, cosigner: None, owner, name, product, currency, iban, cents }
}

/// An account that two customers hold together.
const fn joint(account: Account, cosigner: &'static str) -> Account {
    Account { cosigner: Some(cosigner), ..account }
}

const ANNA_UK: (&str, &str) = ("anna", "Anna Whitfield");
const BEN_UK: (&str, &str) = ("ben", "Ben Okafor");
const ANNA_DE: (&str, &str) = ("anna", "Anna Lindner");
const BEN_DE: (&str, &str) = ("ben", "Ben Yilmaz");
const CLARA_DE: (&str, &str) = ("clara", "Clara und David Sommer");
const ANNA_AT: (&str, &str) = ("anna", "Anna Leitner");
const BEN_AT: (&str, &str) = ("ben", "Ben Horvath");
const CLARA_AT: (&str, &str) = ("clara", "Clara und David Moser");
const ANNA_FR: (&str, &str) = ("anna", "Anna Moreau");
const BEN_FR: (&str, &str) = ("ben", "Ben Garnier");
const ANNA_PL: (&str, &str) = ("anna", "Anna Wiśniewska");
const BEN_PL: (&str, &str) = ("ben", "Ben Zieliński");

static UK: [Account; 4] = [
    account("alb-10017", ANNA_UK, ("Everyday", Product::Current), ("GBP", "GB85ALBN99001110000017"), 348_217),
    account(
        "alb-10025",
        ANNA_UK,
        ("Rainy day", Product::Savings),
        ("GBP", "GB63ALBN99001110000025"),
        1_250_000,
    ),
    account("alb-20018", BEN_UK, ("Current", Product::Current), ("GBP", "GB43ALBN99001120000018"), 120_456),
    account("alb-20026", BEN_UK, ("Holiday", Product::Savings), ("GBP", "GB21ALBN99001120000026"), 64_000),
];

static DE: [Account; 6] = [
    account(
        "rhb-10017",
        ANNA_DE,
        ("Girokonto", Product::Current),
        ("EUR", "DE17999100001000000017"),
        291_344,
    ),
    account(
        "rhb-10025",
        ANNA_DE,
        ("Tagesgeld", Product::Savings),
        ("EUR", "DE92999100001000000025"),
        1_800_000,
    ),
    account("rhb-10033", ANNA_DE, ("Haushalt", Product::Current), ("EUR", "DE70999100001000000033"), 54_210),
    account("rhb-20018", BEN_DE, ("Girokonto", Product::Current), ("EUR", "DE42999100002000000018"), 167_905),
    account("rhb-20026", BEN_DE, ("Tagesgeld", Product::Savings), ("EUR", "DE20999100002000000026"), 420_000),
    joint(
        account(
            "rhb-30017",
            CLARA_DE,
            ("Gemeinschaftskonto", Product::Current),
            ("EUR", "DE24999100003000000017"),
            310_075,
        ),
        "david",
    ),
];

static FR: [Account; 4] = [
    account(
        "lum-10017",
        ANNA_FR,
        ("Compte courant", Product::Current),
        ("EUR", "FR7699901000010001000001722"),
        215_633,
    ),
    account(
        "lum-10025",
        ANNA_FR,
        ("Livret", Product::Savings),
        ("EUR", "FR7699901000010001000002595"),
        870_000,
    ),
    account(
        "lum-20018",
        BEN_FR,
        ("Compte courant", Product::Current),
        ("EUR", "FR7699901000010002000001882"),
        98_720,
    ),
    account(
        "lum-20026",
        BEN_FR,
        ("Livret", Product::Savings),
        ("EUR", "FR7699901000010002000002658"),
        310_000,
    ),
];

static AT: [Account; 6] = [
    account("don-10017", ANNA_AT, ("Girokonto", Product::Current), ("EUR", "AT679990300000010017"), 263_480),
    account("don-10025", ANNA_AT, ("Sparkonto", Product::Savings), ("EUR", "AT459990300000010025"), 910_000),
    account("don-10033", ANNA_AT, ("Kreditkarte", Product::Card), ("EUR", "AT239990300000010033"), -42_310),
    account("don-20018", BEN_AT, ("Girokonto", Product::Current), ("EUR", "AT889990300000020018"), 141_290),
    account("don-20026", BEN_AT, ("Sparkonto", Product::Savings), ("EUR", "AT669990300000020026"), 380_000),
    joint(
        account(
            "don-30017",
            CLARA_AT,
            ("Gemeinschaftskonto", Product::Current),
            ("EUR", "AT669990300000030017"),
            274_615,
        ),
        "david",
    ),
];

static STET: [Account; 4] = [
    account(
        "riv-10017",
        ANNA_FR,
        ("Compte courant", Product::Current),
        ("EUR", "FR7699902000010001000001730"),
        184_290,
    ),
    account(
        "riv-10025",
        ANNA_FR,
        ("Livret", Product::Savings),
        ("EUR", "FR7699902000010001000002506"),
        640_000,
    ),
    account(
        "riv-20018",
        BEN_FR,
        ("Compte courant", Product::Current),
        ("EUR", "FR7699902000010002000001890"),
        132_815,
    ),
    account(
        "riv-20026",
        BEN_FR,
        ("Livret", Product::Savings),
        ("EUR", "FR7699902000010002000002666"),
        275_000,
    ),
];

static PL: [Account; 4] = [
    account(
        "wis-10017",
        ANNA_PL,
        ("Konto osobiste", Product::Current),
        ("PLN", "PL82999010060000000000010017"),
        842_150,
    ),
    account(
        "wis-10025",
        ANNA_PL,
        ("Konto oszczędnościowe", Product::Savings),
        ("PLN", "PL60999010060000000000010025"),
        2_500_000,
    ),
    account(
        "wis-20018",
        BEN_PL,
        ("Konto osobiste", Product::Current),
        ("PLN", "PL06999010060000000000020018"),
        415_620,
    ),
    account(
        "wis-20026",
        BEN_PL,
        ("Konto oszczędnościowe", Product::Savings),
        ("PLN", "PL81999010060000000000020026"),
        960_000,
    ),
];

/// The accounts of a bank, in a stable order.
pub(crate) fn accounts(kind: BankKind) -> &'static [Account] {
    match kind {
        BankKind::UkOpenBanking => &UK,
        BankKind::BerlinGroupRedirect => &DE,
        BankKind::BerlinGroupDecoupled => &FR,
        BankKind::BerlinGroupEmbedded => &AT,
        BankKind::Stet => &STET,
        BankKind::PolishApi => &PL,
    }
}

/// Names with which a customer at any bank comes to something particular. They see
/// the accounts of the first customer.
pub const MAGIC_USERS: [(&str, &str); 3] = [
    (DECLINES, "declines at the bank, whatever is clicked"),
    (ABANDONS, "closes the bank's page or app without deciding, and never comes back"),
    (CAREFUL, "has a second password, `sandbox-2`, at the bank that asks for passwords on our pages"),
];
/// Declines.
pub(crate) const DECLINES: &str = "declines";
/// Decides nothing.
pub(crate) const ABANDONS: &str = "abandons";

/// Has a second password where that is asked for by the TPP.
pub(crate) const CAREFUL: &str = "careful";
/// The second password of those who have one.
pub(crate) const SECOND_PASSWORD: &str = "sandbox-2";

/// The magic name, if it is one.
pub(crate) fn magic(name: &str) -> Option<&'static str> {
    MAGIC_USERS.iter().map(|(known, _)| *known).find(|known| *known == name)
}

/// Whose accounts somebody of this name has: those of the first customer, if it is magic.
pub(crate) fn holder(kind: BankKind, name: &str) -> &str {
    let first = accounts(kind).first().filter(|_| magic(name).is_some());
    first.map_or(name, |account| account.user)
}

/// The customers of a bank: the holders of its accounts.
pub(crate) fn users(kind: BankKind) -> Vec<&'static str> {
    let mut users: Vec<&'static str> = accounts(kind).iter().flat_map(Account::signers).collect();
    users.dedup();
    users
}

#[cfg(test)]
mod tests {
    use domain::Iban;

    use super::*;

    #[test]
    fn every_iban_has_a_valid_checksum_and_belongs_to_one_account() {
        let kinds = [
            BankKind::UkOpenBanking,
            BankKind::BerlinGroupRedirect,
            BankKind::BerlinGroupDecoupled,
            BankKind::BerlinGroupEmbedded,
            BankKind::Stet,
            BankKind::PolishApi,
        ];
        let mut seen = std::collections::HashSet::new();
        for account in kinds.iter().flat_map(|kind| accounts(*kind)) {
            assert_eq!(account.iban.parse::<Iban>().unwrap().as_str(), account.iban);
            assert!(seen.insert(account.iban) && seen.insert(account.id));
        }
        assert_eq!(UK[0].sort_code_account(), "99001110000017");
        let both = ["anna", "ben"];
        let four = [both, ["clara", "david"]].concat();
        let expected = [both.to_vec(), four.clone(), both.to_vec(), four, both.to_vec(), both.to_vec()];
        assert_eq!(kinds.map(users), expected);
    }
}
