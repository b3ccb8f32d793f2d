-- What a client whose days are limited has ordered on one of them.
create table client_spending (
    client_id text not null,
    day_start bigint not null,
    -- A currency, in whose smallest units `used` is, or `payments`.
    kind text not null,
    used bigint not null,
    primary key (client_id, day_start, kind)
);
