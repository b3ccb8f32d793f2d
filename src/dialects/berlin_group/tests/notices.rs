//! Resource status notification.

use connect::{NoticeContent, Notifications, ResourceNotices};

use super::*;

#[test]
fn a_bank_is_told_where_to_notify_and_of_what() {
    let mut profile = profile();
    let address: Url = "https://gateway.example/bank-notifications/de-bank/con_1/s3cret".parse().unwrap();
    for (content, preferred) in
        [(vec![], "status=PROCESS"), (vec![NoticeContent::Sca, NoticeContent::Last], "status=SCA, LAST")]
    {
        profile.notifications = Some(Notifications { push: true, content, ..Notifications::default() });
        let request = BankRequest::get("https://api.bank.example/v1/consents".parse().unwrap());
        let request = BerlinGroup.notify(&context(&profile), request, &address).unwrap();
        assert_eq!(request.header_text("tpp-notification-uri"), Some(address.as_str()));
        assert_eq!(request.header_text("tpp-notification-content-preferred"), Some(preferred));
    }
}

#[test]
fn a_notice_may_say_what_it_is_about() {
    let about = |body: &str| ResourceNotices::about(&BerlinGroup, body.as_bytes());
    assert_eq!(about(r#"{"consentId": "c-1", "consentStatus": "valid"}"#), Some(Some("c-1".to_owned())));
    assert_eq!(about(r#"{"paymentId": "p-1", "transactionStatus": "ACSC"}"#), Some(Some("p-1".to_owned())));
    assert_eq!(about(r#"{"authorisationId": "a-1", "scaStatus": "finalised"}"#), Some(None));
    for wrong in ["", "[]", r#"{"consentId": 7}"#, r#"{"paymentId": ""}"#] {
        assert_eq!(about(wrong), None, "{wrong}");
    }
}
