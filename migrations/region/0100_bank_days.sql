-- How a bank answered, by service and day (UTC, YYYY-MM-DD): what RTS (EU) 2018/389 art. 32(4) has
-- published every quarter. Of no person.
create table bank_days (
    institution_id text not null,
    service text not null,
    day text not null,
    calls bigint not null,
    -- Calls that the bank failed, and those of them without any answer.
    failed bigint not null,
    unanswered bigint not null,
    -- Of all answers together, and of the slowest, in milliseconds.
    took_ms bigint not null,
    slowest_ms bigint not null,
    -- How long it was presumed unavailable (art. 33(1)), in milliseconds.
    down_ms bigint not null,
    primary key (institution_id, service, day)
);
