-- What is personal lives in its home region and only there.
-- Portable SQL: text, bigint (microseconds since 1970, or 0/1), no triggers.

create table consents (
    consent_id text not null primary key,
    client_id text not null,
    institution_id text,
    status text not null,
    terms text not null,
    bank text not null,
    expires_at bigint,
    created_at bigint not null,
    updated_at bigint not null
);

create index consents_by_client on consents (client_id, consent_id);

create table payments (
    payment_id text not null primary key,
    client_id text not null,
    institution_id text not null,
    state text not null,
    terms text not null,
    bank text not null,
    created_at bigint not null,
    updated_at bigint not null,
    next_poll_at bigint
);

create index payments_due on payments (next_poll_at);
create index payments_by_client on payments (client_id, payment_id);

-- Append-only life of consents and payments.
create table changes (
    subject_id text not null,
    sequence bigint not null,
    at bigint not null,
    from_status text not null,
    to_status text not null,
    actor text not null,
    reason text,
    primary key (subject_id, sequence)
);

-- draft-ietf-httpapi-idempotency-key-header: one key, one client, one request.
create table idempotency_keys (
    client_id text not null,
    operation text not null,
    idempotency_key text not null,
    fingerprint text not null,
    status bigint,
    body text,
    created_at bigint not null,
    expires_at bigint not null,
    primary key (client_id, operation, idempotency_key)
);

-- Outbox: written in the transaction of the change it tells of.
create table events (
    event_id text not null primary key,
    client_id text not null,
    event_type text not null,
    resource_id text not null,
    sequence bigint not null,
    body text not null,
    created_at bigint not null,
    fanned_out_at bigint
);

create table deliveries (
    event_id text not null references events (event_id),
    webhook_id text not null,
    attempts bigint not null,
    next_at bigint,
    leased_until bigint,
    last_status bigint,
    delivered_at bigint,
    primary key (event_id, webhook_id)
);

create index deliveries_due on deliveries (next_at);

-- Which of the bank's resources an account is, under which consent.
create table account_links (
    consent_id text not null references consents (consent_id),
    account_id text not null,
    resource_id text not null,
    primary key (consent_id, account_id)
);
