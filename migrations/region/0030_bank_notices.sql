-- By which names a bank speaks of what is ours, to find it where the bank notifies of it.
-- Rows of before have them with their next change.
alter table payments add column bank_consent_id text;
alter table payments add column bank_payment_id text;
alter table consents add column bank_consent_id text;
alter table mandates add column bank_consent_id text;

create index payments_by_bank_consent on payments (institution_id, bank_consent_id);
create index payments_by_bank_payment on payments (institution_id, bank_payment_id);
create index consents_by_bank_consent on consents (institution_id, bank_consent_id);
create index mandates_by_bank_consent on mandates (institution_id, bank_consent_id);

-- What banks said has changed: which of ours to ask about, and nothing of what they said.
create table bank_notices (
    institution_id text not null,
    -- The bank's name of its token (jti); empty where the notice has none.
    token_id text not null,
    -- Ours; empty where the bank spoke of nothing that is.
    subject_id text not null,
    -- When the bank is asked; none once it was.
    due_at bigint,
    attempts bigint not null,
    -- Until when the same token is known again.
    expires_at bigint not null,
    primary key (institution_id, token_id, subject_id)
);

create index bank_notices_due on bank_notices (due_at);
create index bank_notices_by_end on bank_notices (expires_at);
