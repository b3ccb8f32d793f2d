-- What becomes of a consent after it was lodged, and what was read under it.

-- Counts the changes of a row: of two who read the same revision, one writes.
alter table consents add column revision bigint not null default 0;
alter table consents add column life text not null default '{}';
-- When the keeper must look at it again.
alter table consents add column next_step_at bigint;
-- The person, under a name that only the hosted pages can make.
alter table consents add column psu_digest text;

-- Consents of before are looked at once.
update consents set next_step_at = created_at where expires_at is not null;

create index consents_due on consents (next_step_at);
create index consents_by_psu on consents (psu_digest, consent_id);
create index consents_by_age on consents (client_id, created_at, consent_id);

-- What was read, by day (UTC, YYYY-MM-DD).
create table consent_usage (
    consent_id text not null references consents (consent_id),
    kind text not null,
    day text not null,
    attended bigint not null,
    unattended bigint not null,
    first_at bigint not null,
    last_at bigint not null,
    primary key (consent_id, kind, day)
);

-- Calls without the PSU on the last day on which there was one.
create table unattended_calls (
    consent_id text not null primary key references consents (consent_id),
    day text not null,
    used bigint not null
);
