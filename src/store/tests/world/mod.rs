//! Stores of one test on a database of its own, and rows to put in.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::sync::Arc;

use audit::{Outcome, Record};
use consentry_store::consents::{BankAccess, ConsentLife, ConsentRow, ConsentTerms};
use consentry_store::events::EventRow;
use consentry_store::grants::GrantRow;
use consentry_store::idempotency::ClaimKey;
use consentry_store::payments::{BankPayment, PaymentRow, PaymentTerms};
use consentry_store::transaction;
use consentry_store::vault::Vault;
use consentry_store::{GlobalStore, RegionalStore, ScratchDatabase, StoreError};
use crypto::envelope::{KEY_LEN, RegionKeys, WrappingKey, WrapsBy};
use domain::{
    Abroad, AccountIdentification, ChargeBearer, Clock, ConsentId, ConsentStatus, EventId, Execution,
    ExecutionRule, GrantId, ManualClock, Money, Order, PaymentFrequency, PaymentId, PaymentOrder,
    PaymentRisk, PaymentScheme, PaymentState, Permission, Recurrence, Region, RemittanceInformation,
    SortCodeAccount, SystemClock, SystemEntropy, Timestamp,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// Runs a test on both databases. On PostgreSQL it needs
/// `CONSENTRY_TEST_POSTGRES`, and says so loudly where that is missing.
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[doc = $doc:literal])* async fn $name:ident($world:ident: World) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                async fn check($world: World) $body

                $(#[doc = $doc])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn on_sqlite() {
                    check(World::on_sqlite().await).await;
                }

                $(#[doc = $doc])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn on_postgres() {
                    match World::on_postgres().await {
                        Some(world) => check(world).await,
                        None => eprintln!("SKIPPED: set CONSENTRY_TEST_POSTGRES to run this on PostgreSQL"),
                    }
                }
            }
        )+
    };
}

/// The key of an order whose body is `body`.
pub fn claim_key(body: &str) -> ClaimKey {
    ClaimKey {
        client_id: "tpp".to_owned(),
        operation: "POST /v1/payments",
        key: "k-1".to_owned(),
        fingerprint: body.to_owned(),
        region: uk(),
    }
}

/// A database for one test, where `CONSENTRY_TEST_POSTGRES` says where.
pub async fn scratch() -> Option<ScratchDatabase> {
    let url = std::env::var("CONSENTRY_TEST_POSTGRES").ok()?;
    Some(ScratchDatabase::beside(&url, &SystemEntropy).await.unwrap())
}

/// The name of a database.
pub fn name_of(scratch: &ScratchDatabase) -> String {
    url::Url::parse(scratch).unwrap().path().trim_start_matches('/').to_owned()
}

/// The stores of one test.
pub struct World {
    pub global: GlobalStore,
    pub region: RegionalStore,
    pub clock: Arc<ManualClock>,
    pub urls: [String; 3],
    pub folder: TempDir,
    scratch: Option<ScratchDatabase>,
}

impl World {
    /// An event of a client.
    pub fn event(&self, event_type: &str, resource: &str) -> EventRow {
        EventRow {
            id: EventId::new(self.region.region(), &*self.clock, &SystemEntropy),
            client_id: "tpp".to_owned(),
            event_type: event_type.to_owned(),
            resource_id: resource.to_owned(),
            sequence: 1,
            body: "{}".to_owned(),
            created_at: self.now(),
        }
    }

    pub async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("sqlite://{}?mode=rwc", folder.path().join(name).display());
        let urls = [url("global.sqlite"), url("region.sqlite"), url("keys.sqlite")];
        Self::open(urls, folder, None).await
    }

    pub async fn on_postgres() -> Option<Self> {
        let scratch = scratch().await?;
        let urls = consentry_store::postgres_databases(
            &scratch,
            &["global", "uk", "keys_uk"],
            consentry_store::SchemaUse::BringUpToDate,
        )
        .await
        .unwrap();
        Some(Self::open(urls.try_into().unwrap(), tempfile::tempdir().unwrap(), Some(scratch)).await)
    }

    /// On databases beside the one of an address, which go with it.
    pub async fn at(address: &str) -> Self {
        let urls = consentry_store::postgres_databases(
            address,
            &["global", "uk", "keys_uk"],
            consentry_store::SchemaUse::BringUpToDate,
        )
        .await
        .unwrap();
        Self::open(urls.try_into().unwrap(), tempfile::tempdir().unwrap(), None).await
    }

    async fn open(urls: [String; 3], folder: TempDir, scratch: Option<ScratchDatabase>) -> Self {
        let global = GlobalStore::open(&urls[0]).await.unwrap();
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let region = region(&urls, &[1], &clock).await;
        Self { global, region, clock, urls, folder, scratch }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn in_seconds(&self, seconds: i64) -> Timestamp {
        Timestamp::from_microsecond(self.now().as_microsecond() + seconds * 1_000_000).unwrap()
    }

    /// What the audit log says of a read.
    pub fn read(&self, attended: bool, at: Timestamp) -> Record<'static> {
        Record {
            at,
            region: self.region.region(),
            action: "data.read",
            is_access: true,
            outcome: Outcome::Success,
            reason: None,
            client: "tpp",
            request: None,
            certificate: None,
            consent: None,
            resource: None,
            institution: None,
            class: Some("balances"),
            rule: Some("consent.read"),
            permission: Some("READ_BALANCES"),
            psu_present: Some(attended),
        }
    }

    /// Spoils a row in a way that no code of ours would.
    pub async fn spoil(&self, sql: &'static str) {
        assert!(self.run(sql).await > 0, "{sql}");
    }

    /// Runs a statement on the region's database, past the store; how many rows it changed.
    pub async fn run(&self, sql: &'static str) -> u64 {
        sqlx::any::install_default_drivers();
        let pool = sqlx::any::AnyPoolOptions::new().connect(&self.urls[1]).await.unwrap();
        let done = sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
        done.rows_affected()
    }

    pub async fn client(&self, id: &str) {
        transaction!(self.global, tx => {
            tx.put_client(id, &serde_json::json!({}), self.now()).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
    }

    /// A grant of the client `tpp`, not kept yet.
    pub fn grant(&self, id: GrantId) -> GrantRow {
        GrantRow {
            id,
            client_id: "tpp".to_owned(),
            scope: "accounts".to_owned(),
            details: serde_json::json!([]),
            acr: None,
            authenticated_at: Some(self.now()),
            created_at: self.now(),
            revoked_at: None,
        }
    }

    pub async fn consent(&self) -> ConsentRow {
        let now = self.now();
        let consent = ConsentRow {
            id: ConsentId::new(uk(), &*self.clock, &SystemEntropy),
            client_id: "tpp".to_owned(),
            institution: Some("gb-albion-bank".parse().unwrap()),
            status: ConsentStatus::Created,
            terms: ConsentTerms {
                funds_of: None,
                permissions: vec![Permission::ReadBalances],
                recurring: true,
                valid_until: "2030-01-31".parse().unwrap(),
                history_from: None,
                frequency_per_day: 4,
                client_reference: None,
                status_reason: None,
                authorized_at: None,
            },
            bank: BankAccess::default(),
            life: ConsentLife::default(),
            psu_digest: None,
            expires_at: None,
            created_at: now,
            updated_at: now,
            revision: 0,
        };
        transaction!(self.region, tx => {
            tx.lodge_consent(&consent).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        consent
    }

    pub async fn payment(&self) -> PaymentRow {
        let now = self.now();
        let account = SortCodeAccount::new("990011", "20000018").unwrap();
        let payment = PaymentRow {
            id: PaymentId::new(uk(), &*self.clock, &SystemEntropy),
            client_id: "tpp".to_owned(),
            institution: "gb-albion-bank".parse().unwrap(),
            state: PaymentState::AuthorizationRequired,
            terms: PaymentTerms {
                order: Order::Transfer(PaymentOrder {
                    end_to_end_id: "e2e".to_owned().into(),
                    instruction_id: "instr".to_owned(),
                    amount: Money::parse("12.34", "GBP".parse().unwrap()).unwrap(),
                    debtor_account: None,
                    creditor_name: "Corner Bookshop".to_owned().into(),
                    creditor_account: AccountIdentification::SortCode(account),
                    remittance: RemittanceInformation::default(),
                    scheme: PaymentScheme::CrossBorder,
                    execution: Execution::Repeated(Recurrence {
                        first: "2026-07-31".parse().unwrap(),
                        last: Some("2026-12-31".parse().unwrap()),
                        frequency: PaymentFrequency::Monthly,
                        rule: Some(ExecutionRule::Preceding),
                    }),
                    abroad: Some(Abroad {
                        creditor_agent: Some("POFICHBEXXX".to_owned()),
                        creditor_address: None,
                        charge_bearer: ChargeBearer::Shared,
                    }),
                    risk: PaymentRisk {
                        merchant_category: Some("5812".to_owned()),
                        ..PaymentRisk::default()
                    },
                }),
                redirect_uri: "https://fintech.example/return".to_owned(),
                state: None,
                client_reference: None,
                failure: None,
                under: None,
                scheme_choice: Some("FASTEST".to_owned()),
                counted_on: Some(self.now()),
                payee: None,
                refund_of: None,
            },
            bank: BankPayment::default(),
            created_at: now,
            updated_at: now,
            revision: 0,
            next_poll_at: Some(now),
            refunded: 0,
        };
        transaction!(self.region, tx => {
            tx.record_payment(&payment).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        payment
    }
}

/// The region's store, whose data keys these keys wrap.
pub async fn region(urls: &[String; 3], numbers: &[u32], clock: &Arc<ManualClock>) -> RegionalStore {
    let vault = Vault::open(&urls[2], keys(numbers), clock.clone(), Arc::new(SystemEntropy));
    RegionalStore::open(&urls[1], vault.await.unwrap()).await.unwrap()
}

/// The keys of the region, by number.
pub fn keys(numbers: &[u32]) -> RegionKeys {
    keys_of(uk(), numbers)
}

/// The keys of a region, by number.
pub fn keys_of(region: Region, numbers: &[u32]) -> RegionKeys {
    let wrapping = numbers.iter().map(|number| WrappingKey {
        number: *number,
        from: Timestamp::UNIX_EPOCH,
        by: WrapsBy::Memory(Zeroizing::new([u8::try_from(*number).unwrap(); KEY_LEN])),
    });
    RegionKeys::new(region, wrapping, &[7; KEY_LEN]).unwrap()
}

pub fn uk() -> Region {
    "uk".parse().unwrap()
}
