-- What a bank wants of a PSU who authenticates on our pages: names of methods,
-- telephone numbers, pictures. Nothing that the PSU types in.
create table sca_steps (
    subject_id text not null primary key,
    session_id text not null,
    step bigint not null,
    body text not null,
    busy_until bigint,
    expires_at bigint not null
);

create index sca_steps_by_end on sca_steps (expires_at);
