-- What was done with personal data: only appended. A tree of hashes over the entries (RFC 9162)
-- shows whether all of it is still there and the same.
create table audit_log (
    sequence bigint primary key,
    leaf_hash text not null,
    entry text not null
);

-- What the next entry and the next root depend on, in one row.
create table audit_head (
    id bigint primary key,
    frontier text not null
);

-- Written with the change that they tell of; appended to the log soon after.
create table audit_pending (
    event_id text primary key,
    entry text not null
);

create table audit_checkpoints (
    size bigint primary key,
    note text not null
);
