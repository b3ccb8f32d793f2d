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

    /// The permissions of which any one is enough for it, the widest first.
    pub(crate) fn needs(self) -> Vec<Permission> {
        match self {
            Self::Accounts => vec![Permission::ReadAccountsDetail, Permission::ReadAccountsBasic],
            Self::Balances => vec![Permission::ReadBalances],
            Self::Transactions(_) | Self::Transaction(..) => {
                vec![Permission::ReadTransactionsDetail, Permission::ReadTransactionsBasic]
            }
            Self::Resource(resource) => vec![resource.permission()],
            Self::StatementFile(_) => vec![AccountResource::Statements.permission()],
        }
    }

    /// The permission that it uses, of those of a consent.
    pub(crate) fn uses(self, permissions: &[Permission]) -> Option<Permission> {
        self.needs().into_iter().find(|needed| permissions.contains(needed))
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
