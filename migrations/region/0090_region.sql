-- The region whose data this database holds: one row. A process that takes it for another's does not start.
create table held_region (
    id bigint primary key,
    region text not null
);
