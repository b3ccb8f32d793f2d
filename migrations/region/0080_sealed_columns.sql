-- Terms, what opens the bank, answers and bank's names of accounts are sealed under a key
-- of the consent, payment or mandate that they belong to. The keys themselves are in a
-- database of their own (migrations/keys).
create table subject_keys (
    subject_id text primary key,
    key_id text not null
);

-- Keyed digests of account numbers and login names, by which a person's rows are found.
create table subject_index (
    value text not null,
    subject_id text not null,
    primary key (value, subject_id)
);

create index subject_index_by_subject on subject_index (subject_id);

-- A person must look after it: no longer to be seen from what is sealed.
alter table payments add column flagged bigint not null default 0;

-- What the answer is about; sealed under the key of that.
alter table idempotency_keys add column subject_id text;

-- What was erased, and what is still to be: a data key goes after the rows that it sealed.
create table erasures (
    subject_id text primary key,
    key_id text not null,
    reason text not null,
    erased_at bigint not null,
    -- When the key was destroyed; none while that is to be done.
    destroyed_at bigint
);

create index erasures_to_do on erasures (destroyed_at);

-- What must be kept whatever its time and whoever asks.
create table legal_holds (
    subject_id text primary key,
    reason text not null,
    held_since bigint not null
);
