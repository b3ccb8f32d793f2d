-- What became of a client's request, for the client itself: route, outcome, times, calls to banks. Of no
-- person.
create table requests (
    request_id text primary key,
    client_id text not null,
    at bigint not null,
    evidence text not null
);

create index requests_at on requests (at);
