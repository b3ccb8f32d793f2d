//! Ninety days of account life, made from the date and the account alone, so
//! that the same day always shows the same entries under the same ids.

use domain::{Date, Timestamp};
use jiff::ToSpan;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::people::{Account, Product};

/// Days of history.
const DAYS: i32 = 90;

/// One entry of an account.
#[derive(Clone, Debug)]
pub(crate) struct Movement {
    pub(crate) id: String,
    /// When it happened, and was booked unless pending.
    pub(crate) at: Timestamp,
    pub(crate) pending: bool,
    /// Negative for money that left.
    pub(crate) amount: Decimal,
    pub(crate) counterparty: String,
    pub(crate) counterparty_account: Option<String>,
    pub(crate) remittance: String,
    pub(crate) end_to_end: Option<String>,
    /// ISO 18245.
    pub(crate) merchant_category: Option<&'static str>,
    /// ISO 20022 bank transaction code: domain, family, sub-family.
    pub(crate) code: [&'static str; 3],
}

struct Shop {
    names: [&'static str; 3],
    category: &'static str,
    from: i64,
    spread: u8,
    /// One in this many days.
    every: u8,
}

const fn shop(names: [&'static str; 3], category: &'static str, from: i64, spread: u8, every: u8) -> Shop {
    Shop { names, category, from, spread, every }
}

pub(super) struct Place {
    employer: &'static str,
    salary: i64,
    pub(super) landlord: &'static str,
    pub(super) rent: i64,
    pub(super) regular: [(i8, &'static str, i64); 4],
    shops: [Shop; 6],
}

static UK: Place = Place {
    employer: "Northgate Design Ltd",
    salary: 284_500,
    landlord: "Harbour Lettings",
    rent: -115_000,
    regular: [
        (3, "Brightwater Energy", -8_640),
        (8, "City Council", -14_300),
        (12, "Lark Mobile", -1_800),
        (15, "Streambox", -1_099),
    ],
    shops: [
        shop(["Green Basket", "Millers Market", "Cornerfresh"], "5411", 640, 220, 2),
        shop(["The Copper Kettle", "Bean & Gone", "Old Dock Cafe"], "5814", 310, 60, 3),
        shop(["Metro Transit", "Northern Rail", "City Cycles"], "4111", 240, 90, 3),
        shop(["Trattoria Lina", "Spice Garden", "The Anchor"], "5812", 1_850, 250, 6),
        shop(["Paperback Row", "Homeware House", "Sound & Vision"], "5999", 1_200, 240, 8),
        shop(["Dales Pharmacy", "Wellbeing Chemist", "High Street Pharmacy"], "5912", 480, 120, 11),
    ],
};

static DE: Place = Place {
    employer: "Werkstatt Nord GmbH",
    salary: 298_000,
    landlord: "Hausverwaltung Brandt",
    rent: -98_000,
    regular: [
        (3, "Stadtstrom Rhein", -7_900),
        (8, "Rundum Versicherung", -5_480),
        (12, "Funkwelle Mobil", -1_999),
        (15, "Streambox", -1_299),
    ],
    shops: [
        shop(["Frischmarkt", "Kaufhof Bio", "Nachbar Markt"], "5411", 720, 230, 2),
        shop(["Backstube Keller", "Kaffee Ecke", "Rheinblick Cafe"], "5814", 280, 70, 3),
        shop(["Verkehrsverbund", "Regiobahn", "Stadtrad"], "4111", 290, 90, 3),
        shop(["Zum Anker", "Trattoria Lina", "Anadolu Grill"], "5812", 1_700, 250, 6),
        shop(["Buchladen am Dom", "Technik Haus", "Wohnwelt"], "5999", 1_400, 240, 8),
        shop(["Dom Apotheke", "Apotheke am Markt", "Rosen Apotheke"], "5912", 520, 120, 11),
    ],
};

static FR: Place = Place {
    employer: "Atelier du Port SARL",
    salary: 261_000,
    landlord: "Agence Belle Rive",
    rent: -89_500,
    regular: [
        (3, "Lumen Energie", -6_800),
        (8, "Mutuelle du Sud", -4_250),
        (12, "Onde Mobile", -1_599),
        (15, "Streambox", -1_199),
    ],
    shops: [
        shop(["Marche Vert", "Epicerie Lune", "Halles Bio"], "5411", 680, 230, 2),
        shop(["Boulangerie Petit", "Cafe des Arts", "Le Comptoir"], "5814", 260, 70, 3),
        shop(["Transports Rive", "Rail Regional", "Velo Ville"], "4111", 210, 90, 3),
        shop(["Chez Margot", "La Table Ronde", "Le Vieux Quai"], "5812", 1_900, 250, 6),
        shop(["Librairie Centrale", "Maison Deco", "Son et Image"], "5999", 1_300, 240, 8),
        shop(["Pharmacie du Pont", "Pharmacie Centrale", "Pharmacie Verte"], "5912", 450, 120, 11),
    ],
};

static PL: Place = Place {
    employer: "Pracownia Wschód sp. z o.o.",
    salary: 812_000,
    landlord: "Administracja Parkowa",
    rent: -264_000,
    regular: [
        (3, "Energia Nadwiślańska", -21_450),
        (8, "Spokojna Polisa", -14_900),
        (12, "Fala Mobile", -4_500),
        (15, "Streambox", -3_999),
    ],
    shops: [
        shop(["Zielony Koszyk", "Targ Bio", "Sklepik za Rogiem"], "5411", 1_950, 230, 2),
        shop(["Piekarnia Złoty Kłos", "Kawiarnia Pod Lipą", "Mała Czarna"], "5814", 890, 70, 3),
        shop(["Komunikacja Miejska", "Kolej Regionalna", "Rower Miejski"], "4111", 440, 90, 3),
        shop(["Pierogarnia Babuni", "Trattoria Lina", "Smaki Wschodu"], "5812", 4_900, 250, 6),
        shop(["Księgarnia Centralna", "Dom i Wnętrze", "Dźwięk i Obraz"], "5999", 3_900, 240, 8),
        shop(["Apteka pod Mostem", "Apteka Centralna", "Apteka Zielna"], "5912", 1_450, 120, 11),
    ],
};

/// The entries of `account` in the ninety days up to `now`, newest first.
/// Today has one pending card payment.
pub(crate) fn movements(account: &Account, now: Timestamp) -> Vec<Movement> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut all = Vec::new();
    for back in 0..DAYS {
        if let Ok(date) = today.checked_sub(back.days()) {
            day(account, date, &mut all);
        }
    }
    for movement in &mut all {
        movement.pending = movement.at > now;
    }
    // What would happen later today is not known yet, but for the card payment just made.
    all.retain(|movement| !movement.pending);
    if account.product != Product::Savings {
        all.insert(0, just_now(account, today, now));
    }
    all
}

pub(super) fn place(account: &Account) -> &'static Place {
    match account.iban.get(..2) {
        Some("GB") => &UK,
        Some("FR") => &FR,
        Some("PL") => &PL,
        _ => &DE,
    }
}

fn just_now(account: &Account, today: Date, now: Timestamp) -> Movement {
    let place = place(account);
    let [.., shop, _, _] = &place.shops;
    let [name, ..] = shop.names;
    Movement {
        id: format!("{}-{today}-p", account.id),
        at: now.checked_sub(20.minutes()).unwrap_or(now),
        pending: true,
        ..card(account, today, 0, shop, name, 0)
    }
}

/// Entries of one day, the latest first.
fn day(account: &Account, date: Date, all: &mut Vec<Movement>) {
    let place = place(account);
    if account.product == Product::Savings {
        if date.day() == 1 {
            all.push(plain(account, date, 1, 1_250, account.name, "Interest", ["ACMT", "MCOP", "INTR"]));
        }
        return;
    }
    let seed = crypto::digest::sha256(format!("{}/{date}", account.id).as_bytes());
    for ((number, shop), bytes) in (10_u32..).zip(&place.shops).zip(seed.chunks_exact(4)) {
        if let [chance, pick, spread, _] = *bytes
            && chance % shop.every == 0
        {
            let [a, b, c] = shop.names;
            let name = match pick % 3 {
                0 => a,
                1 => b,
                _ => c,
            };
            all.push(card(account, date, number, shop, name, i64::from(spread % shop.spread.max(1))));
        }
    }
    if account.product == Product::Card {
        return;
    }
    if date.day() == 25 {
        all.push(plain(account, date, 1, place.salary, place.employer, "Salary", ["PMNT", "RCDT", "SALA"]));
    }
    if date.day() == 1 {
        all.push(plain(account, date, 2, place.rent, place.landlord, "Rent", ["PMNT", "ICDT", "STDO"]));
    }
    for (number, (on, name, cents)) in (3_u32..).zip(place.regular) {
        if date.day() == on {
            all.push(plain(account, date, number, cents, name, "Direct debit", ["PMNT", "IDDT", "ESDD"]));
        }
    }
}

fn card(account: &Account, date: Date, number: u32, shop: &Shop, name: &str, spread: i64) -> Movement {
    let cents = shop.from.saturating_add(spread.saturating_mul(17)).saturating_neg();
    Movement {
        merchant_category: Some(shop.category),
        counterparty_account: None,
        end_to_end: None,
        remittance: format!("CARD {} {date}", name.to_uppercase()),
        ..plain(account, date, number, cents, name, "", ["PMNT", "CCRD", "POSD"])
    }
}

fn plain(
    account: &Account,
    date: Date,
    number: u32,
    cents: i64,
    counterparty: &str,
    remittance: &str,
    code: [&'static str; 3],
) -> Movement {
    let hour = i8::try_from(number.saturating_add(6).min(23)).unwrap_or(6);
    let at =
        date.at(hour, 30, 0, 0).to_zoned(TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |at| at.timestamp());
    Movement {
        id: format!("{}-{date}-{number}", account.id),
        at,
        pending: false,
        amount: Decimal::new(cents, 2),
        counterparty: counterparty.to_owned(),
        counterparty_account: None,
        remittance: format!("{remittance} {date}"),
        end_to_end: Some(format!("{date}-{number}")),
        merchant_category: None,
        code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BankKind;
    use crate::engine::accounts;

    #[test]
    fn the_same_day_always_has_the_same_entries() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let later = now + 24.hours();
        let account = &accounts(BankKind::UkOpenBanking)[0];
        let (today, tomorrow) = (movements(account, now), movements(account, later));
        assert!(today.len() > 80, "{}", today.len());
        assert_eq!(today.iter().filter(|movement| movement.pending).count(), 1);
        let old = |movement: &&Movement| !movement.pending && movement.at > now - 1000.hours();
        for movement in today.iter().filter(old) {
            let same = tomorrow.iter().find(|other| other.id == movement.id).unwrap();
            assert_eq!((same.amount, &same.counterparty), (movement.amount, &movement.counterparty));
        }
        let ids: std::collections::HashSet<_> = today.iter().map(|movement| &movement.id).collect();
        assert_eq!(ids.len(), today.len());
        for category in ["5411", "5812", "4111"] {
            assert!(today.iter().any(|movement| movement.merchant_category == Some(category)));
        }
        assert!(today.iter().any(|movement| movement.amount > Decimal::from(2000)), "a salary");
    }
}
