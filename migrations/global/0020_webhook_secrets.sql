-- Endpoints whose deliveries are signed with a secret of their own. The secret is made from
-- the key of ids and this number, so that no copy of the database holds it.
alter table webhook_endpoints add column secret_number bigint;
-- Until when the secret before it signs, too.
alter table webhook_endpoints add column former_secret_until bigint;
