-- Mandates to pay again and again, and what was paid under each.
create table mandates (
    mandate_id text not null primary key,
    client_id text not null,
    institution_id text not null,
    status text not null,
    terms text not null,
    bank text not null,
    -- Counts the changes of a row: of two who read the same revision, one writes.
    revision bigint not null default 0,
    -- Payments ordered under it.
    payments bigint not null default 0,
    created_at bigint not null,
    updated_at bigint not null,
    -- When the keeper must look at it again.
    next_step_at bigint
);

create index mandates_by_client on mandates (client_id, created_at, mandate_id);
create index mandates_due on mandates (next_step_at);

-- What was drawn in one period of one limit, in the currency's smallest units.
create table mandate_usage (
    mandate_id text not null references mandates (mandate_id),
    place bigint not null,
    window_start bigint not null,
    used bigint not null,
    primary key (mandate_id, place, window_start)
);

alter table payments add column mandate_id text;

create index payments_by_mandate on payments (mandate_id, created_at, payment_id);
