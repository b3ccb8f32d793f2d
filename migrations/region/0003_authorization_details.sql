-- RFC 9396: what a client asked a PSU to allow, where it names accounts and
-- people. Pushed requests and grants, which are global, hold its id only.
create table authorization_details (
    detail_id text not null primary key,
    client_id text not null,
    body text not null,
    expires_at bigint not null
);

create index authorization_details_by_end on authorization_details (expires_at);
