-- The order in which events are read: without gaps, and never filled in behind a reader.
alter table events add column position bigint;
create unique index events_by_position on events (position);
create index events_by_client on events (client_id, position);
