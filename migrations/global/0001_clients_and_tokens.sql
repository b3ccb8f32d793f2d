-- What is global holds clients, grants, tokens and the directory: no person.
-- Portable SQL: text, bigint (microseconds since 1970, or 0/1), no triggers.

create table clients (
    client_id text not null primary key,
    status text not null,
    metadata text not null,
    created_at bigint not null
);

-- RFC 9126. The request_uri is kept as its digest.
create table pushed_requests (
    request_digest text not null primary key,
    client_id text not null references clients (client_id),
    params text not null,
    expires_at bigint not null,
    completed_at bigint
);

-- One PSU's walk through our pages and the banks.
create table sessions (
    session_id text not null primary key,
    kind text not null,
    client_id text not null references clients (client_id),
    browser_digest text,
    plan text not null,
    status text not null,
    expires_at bigint not null
);

-- What we sent to a bank along with the PSU; single use.
create table bank_states (
    state_digest text not null primary key,
    session_id text not null references sessions (session_id),
    subject_id text not null,
    secrets text not null,
    expires_at bigint not null,
    used_at bigint
);

create table grants (
    grant_id text not null primary key,
    client_id text not null references clients (client_id),
    scope text not null,
    details text not null,
    created_at bigint not null,
    revoked_at bigint
);

create table codes (
    code_digest text not null primary key,
    client_id text not null references clients (client_id),
    grant_id text not null references grants (grant_id),
    redirect_uri text not null,
    code_challenge text not null,
    nonce text,
    expires_at bigint not null,
    redeemed_at bigint
);

create table tokens (
    token_digest text not null primary key,
    client_id text not null references clients (client_id),
    grant_id text references grants (grant_id),
    scope text not null,
    thumbprint text not null,
    expires_at bigint not null,
    revoked_at bigint
);

create index tokens_by_grant on tokens (grant_id);

-- RFC 7523 §3 (7): an assertion is used once.
create table assertion_ids (
    client_id text not null,
    jti_digest text not null,
    expires_at bigint not null,
    primary key (client_id, jti_digest)
);

create table webhook_endpoints (
    webhook_id text not null primary key,
    client_id text not null references clients (client_id),
    url text not null,
    events text not null,
    status text not null,
    created_at bigint not null
);

-- Imported institution directory; profiles of connectable banks live elsewhere.
create table directory (
    institution_id text not null primary key,
    entry text not null
);
