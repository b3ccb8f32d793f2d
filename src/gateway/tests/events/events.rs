//! Events as clients read them, and what is said of them.

use crate::support::webhooks::{Hooked, PATIENCE, body};
use crate::support::{EU, TestGateway, UK, assert_problem, rows};
use boon::{Compiler, Schemas};
use domain::EventType;
use serde_json::{Value, json};

/// Whether an event is as its schema says.
fn fits(schema: &Value, event: &Value) -> bool {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", schema.clone()).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    schemas.validate(event, index).is_ok()
}

/// What is delivered is as the list of types says, member by member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_as_their_published_schemas_say() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    let types = rows(&hooked.tpp.get(&hooked.own, "/v1/event-types").await.unwrap());
    assert_eq!(types.len(), EventType::ALL.len());
    let consent = hooked.tpp.lodge(&hooked.own, &[UK]).await.unwrap().remove(0);
    hooked.tpp.delete(&hooked.own, &format!("/v1/consents/{consent}")).await.unwrap();
    hooked.tested().await;
    for wanted in ["consent.created", "consent.revoked", "webhook.test"] {
        let arrived = hooked.receiver.wait_for(|it| body(it)["type"] == wanted, PATIENCE).await.unwrap();
        let told = body(&arrived);
        let known = types.iter().find(|one| one["type"] == wanted).unwrap();
        assert!(fits(&known["schema"], &told), "{told}");
        assert_eq!(known["resource_type"], told["resource"]["type"]);
        for member in told.as_object().unwrap().keys() {
            let mut less = told.clone();
            less.as_object_mut().unwrap().remove(member);
            assert!(!fits(&known["schema"], &less), "{wanted} without {member}");
        }
        let another = types.iter().find(|one| one["type"] == "payment.settled").unwrap();
        assert!(!fits(&another["schema"], &told));
    }
    gw.sandbox.stop().await;
}

/// One event is found by its id, as it was delivered, by its own client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_found_by_its_id() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    hooked.tpp.lodge(&hooked.own, &[EU]).await.unwrap();
    let arrived = hooked.receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    let path = format!("/v1/events/{}", arrived.id);
    let found = hooked.tpp.get(&hooked.own, &path).await.unwrap().expect(200).unwrap();
    assert_eq!(found.json(), body(&arrived));
    let stranger = gw.tpp().await;
    let theirs = stranger.own_token("accounts").await.unwrap();
    assert_problem(&stranger.get(&theirs, &path).await.unwrap(), 404, "resource.not_found");
    for unknown in ["evt_eu_00000000000070008000000000000000", "evt_mars_1", "x"] {
        let path = format!("/v1/events/{unknown}");
        assert_problem(&hooked.tpp.get(&hooked.own, &path).await.unwrap(), 404, "resource.not_found");
    }
    gw.sandbox.stop().await;
}

/// An endpoint asks for types that there are, and that may be asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_asks_for_types_of_the_list_only() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let add = async |events: Value| {
        let endpoint = json!({ "url": "https://localhost:9/hooks", "events": events });
        tpp.post(&own, "/v1/webhook-endpoints", &endpoint).await.unwrap()
    };
    let types = rows(&tpp.get(&own, "/v1/event-types").await.unwrap());
    let (open, closed): (Vec<_>, Vec<_>) = types.iter().partition(|one| one["subscribable"] == json!(true));
    let open: Value = open.iter().map(|one| one["type"].clone()).collect();
    assert_eq!(add(open.clone()).await.expect(201).unwrap().json()["events"], open);
    assert!(!closed.is_empty());
    for refused in closed.iter().map(|one| one["type"].clone()).chain([json!("payment.settles")]) {
        assert_problem(&add(json!(["payment.settled", refused])).await, 422, "webhook.refused");
    }
    gw.sandbox.stop().await;
}
