//! Stores of one test on a database of its own, and rows to put in.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use consentry_store::consents::{BankAccess, ConsentLife, ConsentRow, ConsentTerms};
use consentry_store::grants::GrantRow;
use consentry_store::payments::{BankPayment, PaymentRow, PaymentTerms};
use consentry_store::{GlobalStore, RegionalStore, ScratchDatabase};
use domain::{
    Abroad, AccountIdentification, ChargeBearer, Clock, ConsentId, ConsentStatus, Execution, ExecutionRule,
    GrantId, ManualClock, Money, Order, PaymentFrequency, PaymentId, PaymentOrder, PaymentRisk,
    PaymentScheme, PaymentState, Permission, Recurrence, Region, RemittanceInformation, SortCodeAccount,
    SystemClock, SystemEntropy, Timestamp,
};
use tempfile::TempDir;

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

/// The stores of one test.
pub struct World {
    pub global: GlobalStore,
    pub region: RegionalStore,
    pub clock: ManualClock,
    pub urls: [String; 2],
    pub folder: TempDir,
    scratch: Option<ScratchDatabase>,
}

impl World {
    pub async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("sqlite://{}?mode=rwc", folder.path().join(name).display());
        let urls = [url("global.sqlite"), url("region.sqlite")];
        Self::open(urls, folder, None).await
    }

    pub async fn on_postgres() -> Option<Self> {
        let url = std::env::var("CONSENTRY_TEST_POSTGRES").ok()?;
        let scratch = ScratchDatabase::beside(&url, &SystemEntropy).await.unwrap();
        let urls = consentry_store::postgres_databases(&scratch, &["global", "uk"]).await.unwrap();
        Some(Self::open(urls.try_into().unwrap(), tempfile::tempdir().unwrap(), Some(scratch)).await)
    }

    async fn open(urls: [String; 2], folder: TempDir, scratch: Option<ScratchDatabase>) -> Self {
        let global = GlobalStore::open(&urls[0]).await.unwrap();
        let region = RegionalStore::open(uk(), &urls[1]).await.unwrap();
        Self { global, region, clock: ManualClock::at(SystemClock.now()), urls, folder, scratch }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn in_seconds(&self, seconds: i64) -> Timestamp {
        Timestamp::from_microsecond(self.now().as_microsecond() + seconds * 1_000_000).unwrap()
    }

    /// Spoils a row in a way that no code of ours would.
    pub async fn spoil(&self, sql: &'static str) {
        sqlx::any::install_default_drivers();
        let pool = sqlx::any::AnyPoolOptions::new().connect(&self.urls[1]).await.unwrap();
        let done = sqlx::query(sql).execute(&pool).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
        pool.close().await;
    }

    pub async fn client(&self, id: &str) {
        let mut tx = self.global.begin().await.unwrap();
        tx.put_client(id, &serde_json::json!({}), self.now()).await.unwrap();
        tx.commit().await.unwrap();
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
            id: ConsentId::new(uk(), &self.clock, &SystemEntropy),
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
        let mut tx = self.region.begin().await.unwrap();
        tx.lodge_consent(&consent).await.unwrap();
        tx.commit().await.unwrap();
        consent
    }

    pub async fn payment(&self) -> PaymentRow {
        let now = self.now();
        let account = SortCodeAccount::new("990011", "20000018").unwrap();
        let payment = PaymentRow {
            id: PaymentId::new(uk(), &self.clock, &SystemEntropy),
            client_id: "tpp".to_owned(),
            institution: "gb-albion-bank".parse().unwrap(),
            state: PaymentState::AuthorizationRequired,
            terms: PaymentTerms {
                order: Order::Transfer(PaymentOrder {
                    end_to_end_id: "e2e".to_owned(),
                    instruction_id: "instr".to_owned(),
                    amount: Money::parse("12.34", "GBP".parse().unwrap()).unwrap(),
                    debtor_account: None,
                    creditor_name: "Corner Bookshop".to_owned(),
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
        let mut tx = self.region.begin().await.unwrap();
        tx.record_payment(&payment).await.unwrap();
        tx.commit().await.unwrap();
        payment
    }
}

pub fn uk() -> Region {
    "uk".parse().unwrap()
}
