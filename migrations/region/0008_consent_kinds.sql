-- What a consent is to, so that a list can be of one kind.
alter table consents add column kind text not null default 'ACCOUNT_INFORMATION';
