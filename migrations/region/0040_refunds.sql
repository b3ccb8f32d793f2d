-- What is refunded of a payment, in the currency's smallest units, and which payment a refund is of.
alter table payments add column refunded bigint not null default 0;
alter table payments add column refund_of text;

create index payments_by_refunded on payments (refund_of, created_at, payment_id);
