-- What a client was last told of an account's transactions: keyed fingerprints,
-- no entry and no text.
create table snapshots (
    snapshot_id text not null primary key,
    client_id text not null,
    account_id text not null,
    taken_at bigint not null,
    marks text not null
);

create index snapshots_by_account on snapshots (client_id, account_id, taken_at);
