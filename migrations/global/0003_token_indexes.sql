-- A client's own token has no grant to be found by; most tokens are such, and
-- each entry of an index is a page more to write.
drop index access_tokens_by_grant;
create index access_tokens_by_grant on access_tokens (grant_id) where grant_id is not null;

-- Who looks for clients to clear up after finds none without reading them all.
create index clients_deleted on clients (client_id) where status = 'deleted';
