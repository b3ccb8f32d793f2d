//! What can be read under a consent, and what that takes.

use connect::{Dialect, Profile};
use domain::{AccountResource, Date, Permission, ReadKind, TransactionId};

/// Days of a bank's transactions that are read at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransactionWindow {
    /// First booking date.
    pub from: Option<Date>,
    /// Last booking date.
    pub to: Option<Date>,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Read<'a> {
    /// Accounts.
    Accounts,
    /// Balances.
    Balances,
    /// Transactions of a window.
    Transactions(TransactionWindow),
    /// One of them, with what the bank tells of it alone.
    Transaction(TransactionId, TransactionWindow),
    /// Further information.
    Resource(AccountResource),
    /// The file of a statement, by the bank's identifier of the statement.
    StatementFile(&'a str),
}

impl Read<'_> {
    pub(crate) fn kind(self) -> ReadKind {
        match self {
            Self::Accounts => ReadKind::Accounts,
            Self::Balances => ReadKind::Balances,
            Self::Transactions(_) | Self::Transaction(..) => ReadKind::Transactions,
            Self::Resource(resource) => resource.read_kind(),
            Self::StatementFile(_) => AccountResource::Statements.read_kind(),
        }
    }

    pub(crate) fn allowed_by(self, permissions: &[Permission]) -> bool {
        let any = |wanted: &[Permission]| wanted.iter().any(|permission| permissions.contains(permission));
        match self {
            Self::Accounts => any(&[Permission::ReadAccountsBasic, Permission::ReadAccountsDetail]),
            Self::Balances => any(&[Permission::ReadBalances]),
            Self::Transactions(_) | Self::Transaction(..) => {
                any(&[Permission::ReadTransactionsBasic, Permission::ReadTransactionsDetail])
            }
            Self::Resource(resource) => any(&[resource.permission()]),
            Self::StatementFile(_) => any(&[AccountResource::Statements.permission()]),
        }
    }

    /// Whether a bank that gives account information gives this.
    pub(crate) fn offered_by(self, dialect: &dyn Dialect, profile: &Profile) -> bool {
        match self {
            Self::Accounts | Self::Balances | Self::Transactions(_) | Self::Transaction(..) => true,
            Self::Resource(resource) => {
                dialect.resources().is_some_and(|all| all.offered(profile).contains(&resource))
            }
            Self::StatementFile(_) => dialect.statement_files().is_some_and(|files| files.offered(profile)),
        }
    }
}
