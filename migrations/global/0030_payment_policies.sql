-- What an operator lets a client pay; nothing, where nothing is said.
alter table clients add column payment_policy text;
