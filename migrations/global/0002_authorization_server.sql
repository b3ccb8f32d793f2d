-- Access tokens are bound to a certificate or to a DPoP key (cnf) and know
-- where they come from. The ones of before live a quarter of an hour at most
-- and are given up: nobody has a release with them.
drop table tokens;

create table access_tokens (
    token_digest text not null primary key,
    client_id text not null references clients (client_id),
    grant_id text references grants (grant_id),
    scope text not null,
    cnf text not null,
    issued_at bigint not null,
    expires_at bigint not null,
    revoked_at bigint
);

create index access_tokens_by_grant on access_tokens (grant_id);
create index access_tokens_by_end on access_tokens (expires_at);

-- FAPI 2.0 SP §5.3.2.1-10: not rotated, so one row serves for its whole life.
create table refresh_tokens (
    token_digest text not null primary key,
    client_id text not null references clients (client_id),
    grant_id text not null references grants (grant_id),
    scope text not null,
    issued_at bigint not null,
    expires_at bigint not null,
    revoked_at bigint
);

create index refresh_tokens_by_grant on refresh_tokens (grant_id);

-- What the PSU's authentication was worth, for id_tokens of this grant.
alter table grants add column acr text;
alter table grants add column authenticated_at bigint;
create index grants_by_client on grants (client_id, grant_id);

-- RFC 9449 §10: the key that the code is bound to.
alter table codes add column dpop_key text;

-- RFC 7592: digest of the token that manages the registration.
alter table clients add column registration_digest text;

-- CIBA. The auth_req_id is kept as its digest.
create table backchannel_requests (
    request_digest text not null primary key,
    client_id text not null references clients (client_id),
    session_id text not null,
    plan text not null,
    status text not null,
    grant_id text references grants (grant_id),
    poll_after bigint not null,
    next_look_at bigint,
    expires_at bigint not null
);

create index backchannel_requests_due on backchannel_requests (next_look_at);

-- Which processes keep copies of what is in this store, until when each may
-- use them without asking, and up to which change it has dropped them.
create table instances (
    instance_id text not null primary key,
    lease_until bigint not null,
    seen bigint not null
);

-- What was revoked or changed: every process drops its copy.
create table invalidations (
    sequence bigint not null primary key,
    subject text not null,
    at bigint not null
);

-- One row that every invalidation updates: writers queue here, so the order of
-- numbers is the order of commits.
create table counters (
    name text not null primary key,
    value bigint not null
);

insert into counters (name, value) values ('invalidations', 0);
