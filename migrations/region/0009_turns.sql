-- Whose turn it is at something that one process at a time may do at a bank.
create table turns (
    subject text not null primary key,
    holder text not null,
    -- After this somebody else may take it: the holder is gone.
    ends_at bigint not null
);
