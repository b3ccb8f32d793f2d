-- What clients were last told of an institution's service, so that of several
-- gateways one tells.
create table institution_health (
    institution_id text not null,
    service text not null,
    told text not null,
    told_at bigint not null,
    primary key (institution_id, service)
);
