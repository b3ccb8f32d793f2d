-- How often a client asked on a day (UTC, YYYY-MM-DD) whether payees go by a name: no name,
-- no account, no answer.
create table payee_verifications (
    client_id text not null primary key,
    day text not null,
    used bigint not null
);
