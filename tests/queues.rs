//! Who waits at the gate and who is told at once: deadlines, tenants, caps of classes, and clients that
//! come again, on real servers.

use std::time::Duration;

use harness::*;

const SOON: Duration = Duration::from_secs(20);

on_both_engines! {
    what_cannot_be_done_in_time_is_refused,
    a_tenant_leaves_room_for_others,
    a_class_takes_no_more_than_its_cap,
    who_comes_again_too_often_does_not_wait,
}

async fn scene(engine: Engine, sections: &str) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let mut app = Caller::login(engine, server.addr(), &APP).await.unwrap();
    app.done("CREATE TABLE note (id INT PRIMARY KEY)").await;
    let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
    (server, guard)
}

async fn client(server: &Server, guard: &Guard, account: &Account) -> Caller {
    Caller::login(server.engine(), guard.addr(), account).await.unwrap()
}

/// A client in a transaction that wrote the row `id`, with a comment on that.
async fn writer(server: &Server, guard: &Guard, id: u32, comment: &str) -> Caller {
    let mut client = client(server, guard, &APP).await;
    client.done("BEGIN").await;
    client.done(&format!("INSERT INTO note VALUES ({id}) {comment}")).await;
    client
}

fn says(engine: Engine, refusal: &Refusal, words: &[&str]) {
    assert_eq!(refusal.code, shed_code(engine), "{refusal:?}");
    for word in words {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
}

async fn queued(guard: &Guard, count: u64) {
    eventually("so many wait", SOON, async || {
        (status(guard, "/queued").await == count).then_some(())
    })
    .await;
}

async fn what_cannot_be_done_in_time_is_refused(engine: Engine) {
    let sections = "[class.default]\nin_flight = 1\nqueue_time = \"10m\"\ndeadline = \"5m\"\n\
                    [class.hasty]\nin_flight = 1\nqueue_time = \"10m\"\ndeadline = \"150ms\"\n\
                    [[rule]]\nname = \"hasty\"\nuser = \"other\"\nclass = \"hasty\"";
    let (server, guard) = scene(engine, sections).await;
    let mut holder = writer(&server, &guard, 1, "").await;
    let mut app = client(&server, &guard, &APP).await;
    let refusal = app.refused("SELECT 1 /*deadline_ms='200'*/").await;
    let own = ["class=default", "reason=deadline", "limit=0.2", "changed_by=tag deadline_ms"];
    says(engine, &refusal, &own);
    // What says nothing has the time of its class.
    let mut hasty = client(&server, &guard, &OTHER).await;
    hasty.done("BEGIN").await;
    hasty.done("SELECT 1").await;
    let mut second = client(&server, &guard, &OTHER).await;
    let refusal = second.refused("SELECT 2").await;
    says(engine, &refusal, &["reason=deadline", "limit=0.15", "changed_by=class.hasty.deadline"]);
    // Who has the time waits, and nothing of what was refused was begun.
    app.say("INSERT INTO note VALUES (2) /*deadline_ms='240000'*/").await;
    queued(&guard, 1).await;
    holder.done("COMMIT").await;
    app.hear().await.unwrap();
    assert_eq!(guard.metric("guard_sheds_total", &["reason=\"deadline\""]).await.unwrap(), 2.0);
}

async fn a_tenant_leaves_room_for_others(engine: Engine) {
    let sections = "[overall]\nin_flight = 4\n[class.default]\nqueue_length = 0\n\
                    [tenants]\nby = \"tag\"\ntag = \"shop\"";
    let (server, guard) = scene(engine, sections).await;
    let _first = writer(&server, &guard, 1, "/*shop='ann'*/").await;
    let mut other = writer(&server, &guard, 2, "/*shop='bob'*/").await;
    let _second = writer(&server, &guard, 3, "/*shop='ann'*/").await;
    let mut third = client(&server, &guard, &APP).await;
    let refusal = third.refused("SELECT 1 /*shop='ann'*/").await;
    says(engine, &refusal, &["limit=2", "measured=2", "changed_by=tenants.cap"]);
    // Others have room, and alone it may take all.
    third.done("SELECT 1 /*shop='eve'*/").await;
    third.done("SELECT 1").await;
    other.done("COMMIT").await;
    third.done("SELECT 1 /*shop='ann'*/").await;
}

async fn a_class_takes_no_more_than_its_cap(engine: Engine) {
    let sections = "[overall]\nin_flight = 4\n[class.batch]\ncap = 50\nqueue_length = 0\n\
                    [[rule]]\nname = \"batch\"\ntag = { job = \"*\" }\nclass = \"batch\"";
    let (server, guard) = scene(engine, sections).await;
    let mut first = writer(&server, &guard, 1, "/*job='a'*/").await;
    let _second = writer(&server, &guard, 2, "/*job='b'*/").await;
    let mut third = client(&server, &guard, &APP).await;
    let refusal = third.refused("SELECT 1 /*job='c'*/").await;
    says(engine, &refusal, &["class=batch", "limit=2", "changed_by=class.batch.cap"]);
    third.done("SELECT 1").await;
    first.done("COMMIT").await;
    third.done("SELECT 1 /*job='c'*/").await;
}

async fn who_comes_again_too_often_does_not_wait(engine: Engine) {
    let sections = "[class.default]\nin_flight = 1\nqueue_length = 1\nqueue_time = \"10m\"\n\
                    [retries]\nmode = \"enforce\"\nbudget = 0\nper_second = 0";
    let (server, guard) = scene(engine, sections).await;
    let mut holder = writer(&server, &guard, 1, "").await;
    let mut waiter = client(&server, &guard, &APP).await;
    waiter.say("SELECT 2").await;
    queued(&guard, 1).await;
    // The refusal of a client that comes again at once is held back.
    let mut again = client(&server, &guard, &APP).await;
    eventually("a refusal was held back", SOON, async || {
        let refusal = again.refused("SELECT 3").await;
        says(engine, &refusal, &["reason=queue_full"]);
        (guard.metric("guard_refusals_held_total", &[]).await.unwrap() >= 1.0).then_some(())
    })
    .await;
    drop(waiter);
    queued(&guard, 0).await;
    // There is a place in line, but not for the same with the same values, by whatever connection.
    let refusal = again.refused("SELECT 3").await;
    says(engine, &refusal, &["reason=retries", "changed_by=retries.budget"]);
    let mut elsewhere = client(&server, &guard, &APP).await;
    let refusal = elsewhere.refused("SELECT 3").await;
    says(engine, &refusal, &["reason=retries"]);
    again.say("SELECT 4").await;
    queued(&guard, 1).await;
    holder.done("COMMIT").await;
    assert_eq!(again.hear().await.unwrap().as_deref(), Some("4"));
    // Where there is room, whoever comes again is served.
    elsewhere.done("SELECT 3").await;
}
