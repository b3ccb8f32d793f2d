-- Data keys, wrapped. Not to be kept with backups of the region's data: whoever restores
-- one takes the keys that there are then, and what was erased stays unreadable.
create table data_keys (
    key_id text primary key,
    -- Number of the region's key that wraps it.
    wrapped_by bigint not null,
    wrapped text not null,
    created_at bigint not null
);

create index data_keys_by_wrapping on data_keys (wrapped_by);
