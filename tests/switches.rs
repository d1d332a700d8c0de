//! Switches turn traffic off and on within a second, for those who are in, and say so.

use std::time::{Duration, Instant};

use harness::*;

/// How soon a switch must hold.
const AT_ONCE: Duration = Duration::from_secs(1);

const CLASSES: &str =
    "[class.batch]\n[[rule]]\nname = \"jobs\"\nclass = \"batch\"\ntag = { job = \"*\" }";

on_both_engines! {
    a_switch_holds_at_once_and_ends_at_once,
    invariant_4_a_switch_lets_open_transactions_end,
    a_switch_may_keep_a_share_and_end_by_itself,
    a_switch_that_means_nothing_is_declined,
}

async fn scene(engine: Engine) -> (Server, Guard, Caller) {
    let server = Server::start(engine).await.unwrap();
    let guard = Guard::start(&server, &Setup::with(CLASSES)).await.unwrap();
    let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
    client.done("CREATE TABLE note (id INT PRIMARY KEY)").await;
    (server, guard, client)
}

async fn set(guard: &Guard, order: &str) {
    let answer = guard.http("POST", "/api/v1/switches", order).await.unwrap();
    assert_eq!(answer.status, 200, "{order}: {}", answer.body);
}

async fn clear(guard: &Guard, target: &str) {
    let order = format!("{{\"target\": \"{target}\"}}");
    let answer = guard.http("DELETE", "/api/v1/switches", &order).await.unwrap();
    assert_eq!(answer.status, 200, "{target}: {}", answer.body);
}

async fn a_switch_holds_at_once_and_ends_at_once(engine: Engine) {
    let (_server, guard, mut client) = scene(engine).await;
    let job = "SELECT 1 /*job='mail'*/";
    for (target, hit, missed) in [
        ("class batch", job, "SELECT 1"),
        ("tag job=mail", job, "SELECT 1 /*job='report'*/"),
        ("user app", "SELECT 1", "ROLLBACK"),
        ("table note", "SELECT * FROM note", "SELECT 1"),
        ("kind delete", "DELETE FROM note", "SELECT * FROM note"),
    ] {
        client.done(hit).await;
        let order = format!(
            "{{\"target\": \"{target}\", \"reason\": \"too much mail\", \"author\": \"ann\"}}"
        );
        let began = Instant::now();
        set(&guard, &order).await;
        let failure = client.refused(hit).await;
        assert!(began.elapsed() < AT_ONCE, "{target}: {:?}", began.elapsed());
        assert_eq!(failure.code, shed_code(engine), "{failure:?}");
        for word in ["reason=switch", "retry_after_ms=", "too much mail", target] {
            assert!(failure.message.contains(word), "{word} is missing: {failure:?}");
        }
        client.done(missed).await;
        let began = Instant::now();
        clear(&guard, target).await;
        client.done(hit).await;
        assert!(began.elapsed() < AT_ONCE, "{target}: {:?}", began.elapsed());
    }
}

async fn invariant_4_a_switch_lets_open_transactions_end(engine: Engine) {
    let (_server, guard, mut client) = scene(engine).await;
    client.done("BEGIN").await;
    client.done("INSERT INTO note VALUES (1)").await;
    set(&guard, "{\"target\": \"user *\"}").await;
    client.done("INSERT INTO note VALUES (2)").await;
    client.done("COMMIT").await;
    assert_eq!(client.refused("SELECT 1").await.code, shed_code(engine));
    clear(&guard, "user *").await;
    assert_eq!(client.done("SELECT COUNT(*) FROM note").await.as_deref(), Some("2"));
}

async fn a_switch_may_keep_a_share_and_end_by_itself(engine: Engine) {
    let (_server, guard, mut client) = scene(engine).await;
    set(&guard, "{\"target\": \"kind select\", \"keep_ratio\": 0.5}").await;
    let mut passed = 0;
    for _ in 0..400 {
        passed += u32::from(client.ask("SELECT 1").await.is_ok());
    }
    assert!((120..280).contains(&passed), "{passed} of 400");
    set(&guard, "{\"target\": \"kind select\", \"ttl_ms\": 300}").await;
    assert_eq!(client.refused("SELECT 1").await.code, shed_code(engine));
    eventually("the switch ends by itself", Duration::from_secs(3), async || {
        client.ask("SELECT 1").await.is_ok().then_some(())
    })
    .await;
    assert_eq!(status(&guard, "/switches").await, 0);
}

async fn a_switch_that_means_nothing_is_declined(engine: Engine) {
    let (_server, guard, _client) = scene(engine).await;
    for order in [
        "{\"target\": \"class nobody\"}",
        "{\"target\": \"colour blue\"}",
        "{\"target\": \"user app\", \"keep_ratio\": 7}",
        "not json",
    ] {
        let answer = guard.http("POST", "/api/v1/switches", order).await.unwrap();
        assert!((400..500).contains(&answer.status), "{order}: {answer:?}");
    }
    assert_eq!(status(&guard, "/switches").await, 0);
}
