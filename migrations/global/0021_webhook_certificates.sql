-- Whether the gateway shows its client certificate to an endpoint.
alter table webhook_endpoints add column client_certificate bigint not null default 0;
