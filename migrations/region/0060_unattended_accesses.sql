-- Accesses without the PSU on the last day on which there was one: of a consent as a whole
-- (item is empty), or of each thing that is read apart, as the bank counts.
create table unattended_accesses (
    consent_id text not null references consents (consent_id),
    item text not null,
    day text not null,
    used bigint not null,
    -- The last access began in this part of the day, where those of one part are one.
    slot bigint not null,
    primary key (consent_id, item)
);

insert into unattended_accesses (consent_id, item, day, used, slot)
select consent_id, '', day, used, -1 from unattended_calls;

drop table unattended_calls;
