-- Counts the changes of a payment: of two who read the same revision one writes, whatever
-- their clocks say.
alter table payments add column revision bigint not null default 0;
