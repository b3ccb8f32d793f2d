-- What comes later in the life of a resource is told later.
create index events_by_resource on events (resource_id, sequence);
